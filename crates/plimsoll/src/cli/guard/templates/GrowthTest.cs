// The growth test (xUnit): it fails when an iteration leaves something behind.
// NEVER RUN UNDER .NET BY ITS AUTHORS: their tests compile and run it under Mono, with stand-ins for xUnit and for what Mono
// lacks. Tell us what is wrong with it.
// Verdict and statistics are plimsoll's (plimsoll guard run); it must be on the PATH.
// The test assembly runs itself by its own Main; the project needs
//   <PropertyGroup><GenerateProgramFile>false</GenerateProgramFile></PropertyGroup>
using System;
using System.Diagnostics;
using Xunit;

public class GrowthTest
{
    // Iterations of one round.
    const int Round = 1000;

    // Does what must leave nothing behind: a request, a job, a message. n never comes again.
    static void Iteration(long n)
    {
        // your work here
    }

    [Fact]
    public void Growth()
    {
        var own = typeof(GrowthTest).Assembly.Location;
        var start = new ProcessStartInfo("plimsoll", "guard run -- dotnet \"" + own + "\"")
        {
            RedirectStandardOutput = true,
            UseShellExecute = false,
        };
        using (var run = Process.Start(start))
        {
            var said = run.StandardOutput.ReadToEnd();
            run.WaitForExit();
            Assert.True(run.ExitCode == 0, said);
        }
    }

    // Works, collects and tells, as long as it is asked to.
    public static void Main()
    {
        long n = 0;
        do
        {
            for (var end = n + Round; n < end; n++)
            {
                Iteration(n);
            }
            GC.Collect();
            GC.WaitForPendingFinalizers();
            var heap = GC.GetTotalMemory(forceFullCollection: true);
            var held = GC.GetGCMemoryInfo().TotalCommittedBytes;
            Console.WriteLine($"PLIMSOLL ROUND iterations={Round} heap={heap} held={held}");
        } while (Console.ReadLine() == "next");
    }
}

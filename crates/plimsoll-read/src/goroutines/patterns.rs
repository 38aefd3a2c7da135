//! Known ways in which goroutines pile up, told from what they wait for, their stack and who started them.

use super::frames;
use super::table::Parked;
use super::wait::Wait;

/// What a pattern says of the goroutines that it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pattern {
    /// The usual defect, a clause that goes on after "usual cause: ".
    pub(super) cause: &'static str,
    /// What to change.
    pub(super) hint: &'static str,
    /// What explains the same without a defect.
    pub(super) innocent: &'static str,
    /// Whether the stack itself names the defect, not only the way of waiting.
    pub(super) specific: bool,
}

/// A pattern that is told from functions: any frame, or the creator, starts with one of them.
struct Named {
    functions: &'static [&'static str],
    pattern: Pattern,
}

const fn named(
    functions: &'static [&'static str],
    cause: &'static str,
    hint: &'static str,
    innocent: &'static str,
) -> Named {
    Named { functions, pattern: Pattern { cause, hint, innocent, specific: true } }
}

/// Before the general ones, as they say more.
const BY_NAME: &[Named] = &[
    named(
        &["context.(*cancelCtx).propagateCancel", "context.propagateCancel", "context.AfterFunc"],
        "a context derived from a foreign one whose cancel function is never called",
        "call the cancel function that WithCancel, WithTimeout or WithDeadline returned: `defer cancel()`",
        "requests that are really in flight hold one each",
    ),
    named(
        &["database/sql.(*Tx).awaitDone"],
        "a transaction that is neither committed nor rolled back",
        "`defer tx.Rollback()` right after BeginTx",
        "transactions that are really open hold one each",
    ),
    named(
        &["database/sql.(*Rows).awaitDone"],
        "rows that are never closed",
        "`defer rows.Close()` right after Query, and check rows.Err()",
        "queries that are really being read hold one each",
    ),
    named(
        &["database/sql.(*DB).connectionOpener", "database/sql.(*DB).connectionResetter"],
        "a database handle opened per request and never closed",
        "open one sql.DB for the program and share it",
        "one per sql.DB is normal",
    ),
    named(
        &["net/http.(*persistConn).readLoop", "net/http.(*persistConn).writeLoop"],
        "response bodies that are never closed, or a new http.Transport per request",
        "`defer resp.Body.Close()` after the error check, read the body to its end, share one http.Client",
        "an idle connection pool holds two per connection: compare with MaxIdleConns",
    ),
    named(
        &["google.golang.org/grpc.(*", "google.golang.org/grpc/internal/grpcsync"],
        "a gRPC connection or stream that is never closed",
        "share one ClientConn and Close it; cancel each stream's context or read it to its end",
        "a few per open connection are normal",
    ),
    named(
        &["os/exec.(*Cmd)."],
        "a child process whose Wait is never called, or whose pipe is held open by a grandchild",
        "call Wait after Start, and set WaitDelay",
        "children that are really running hold some each",
    ),
    named(
        &["io.(*pipe).read", "io.(*pipe).write", "io.(*pipe).Read", "io.(*pipe).Write"],
        "an io.Pipe whose other end is neither used nor closed",
        "close the reader (CloseWithError) on every path that stops reading, the writer on every one that stops writing",
        "a slow peer looks the same",
    ),
    named(
        &["net/http.(*conn).serve", "net/http.(*connReader).backgroundRead"],
        "clients that keep connections open",
        "set IdleTimeout and ReadHeaderTimeout of the http.Server",
        "one per open client connection is how the server works",
    ),
];

/// The pattern that fits, if one does.
pub(super) fn of(group: &Parked) -> Option<Pattern> {
    let starts = |f: &frames::Frame, n: &&str| f.function.starts_with(n);
    let fits = |named: &&Named| {
        let frames = group.frames.iter().chain(&group.creator);
        frames.into_iter().any(|f| named.functions.iter().any(|n| starts(f, n)))
    };
    match BY_NAME.iter().find(fits) {
        // A handler that is stuck in the program's own code is judged by what it waits for.
        Some(n) if n.pattern.hint.contains("IdleTimeout") && frames::own(&group.frames).is_some() => {
            by_wait(group.wait)
        }
        Some(n) => Some(n.pattern),
        None => by_wait(group.wait),
    }
}

/// A cause, its repair, and what explains the same without a defect.
type Words = (&'static str, &'static str, &'static str);

fn by_wait(wait: Wait) -> Option<Pattern> {
    let (cause, hint, innocent) = at_channels(wait).or_else(|| elsewhere(wait))?;
    let specific = wait == Wait::NilChannel;
    Some(Pattern { cause, hint, innocent, specific })
}

fn at_channels(wait: Wait) -> Option<Words> {
    Some(match wait {
        Wait::Receive => (
            "a channel that nobody sends to and nobody closes",
            "close the channel on every path that stops sending, or receive in a select with ctx.Done()",
            "an idle pool of workers waits the same way: compare the count with the size of the pool",
        ),
        Wait::Send => (
            "a send whose receiver went away (an early return, a timeout)",
            "give the channel a buffer of one per sender, or send in a select with ctx.Done()",
            "a slow receiver looks the same while it is behind: see whether the count falls when load falls",
        ),
        Wait::Channel => (
            "a channel whose other end went away: nobody sends and nobody closes it, or nobody receives",
            "use the channel in a select with ctx.Done(), close it on every path that stops sending, give it a buffer of \
             one per sender; `debug=2` or `debug=0` says whether they send or receive",
            "an idle pool of workers, or a receiver that is slow for a while, looks the same",
        ),
        Wait::NilChannel => (
            "a channel that was never made",
            "make the channel before it is used",
            "a nil channel on purpose blocks a case only within a select",
        ),
        Wait::Select => (
            "a select none of whose cases comes: a context without cancel, a channel without sender or close, or a long time.After",
            "give every select a ctx.Done() whose cancel is called; replace a long time.After by a timer that is stopped",
            "servers and tickers wait in select for good: they do not grow in number",
        ),
        Wait::SelectForever => (
            "`select {}` in a goroutine that was meant to end",
            "wait for a context or a channel instead",
            "one of them to keep main alive is usual",
        ),
        _ => return None,
    })
}

fn elsewhere(wait: Wait) -> Option<Words> {
    Some(match wait {
        Wait::Mutex => (
            "a lock that is held too long, or never released (a return without Unlock, a lock taken twice)",
            "`defer mu.Unlock()` right after Lock; hold no lock over a channel, a call out or another lock",
            "a short queue at a busy lock is normal: see whether the same ones still wait a minute later",
        ),
        Wait::WaitGroup => (
            "a WaitGroup whose Done is missed on some path, or whose workers are stuck themselves",
            "`defer wg.Done()` first thing in the worker, Add before `go`; look at the workers' own group",
            "a long batch waits the same way until it ends",
        ),
        Wait::Condition => (
            "a condition that nobody signals any more",
            "signal on every path that changes the condition, also on shutdown",
            "an idle pool waits the same way",
        ),
        Wait::Semaphore => (
            "a lock or WaitGroup of the program (this Go version prints both alike)",
            "see the stack: Unlock and Done on every path",
            "a busy lock or a long batch looks the same",
        ),
        Wait::Sleep => (
            "goroutines started faster than their sleeps or retries end",
            "bound the number of retries in flight; use one timer loop instead of one goroutine each",
            "periodic jobs sleep the same way: they do not grow in number",
        ),
        Wait::Io => (
            "a peer that does not answer, without a deadline",
            "set deadlines on the connection, or a context with timeout",
            "each open connection may hold one goroutine: compare with the connections",
        ),
        Wait::Syscall => (
            "system calls or C code that do not return",
            "bound how many run at once: each also holds a thread",
            "blocking file and C calls are in this state while they work",
        ),
        Wait::Unsaid => (
            "a wait that nothing ends: this form does not say for what",
            "take `debug=2`, or `debug=0` where there are very many: they say what each waits for",
            "goroutines that are at work stand somewhere too",
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Frame;
    use super::*;

    fn group(wait: Wait, functions: &[&str], creator: &str) -> Parked {
        let frame = |f: &&str| Frame { function: (*f).to_owned(), location: String::new() };
        Parked::new(wait, None, functions.iter().map(frame).collect(), Some(frame(&creator)))
    }

    #[test]
    fn the_stack_says_more_than_the_wait() {
        let cause = |g: &Parked| of(g).map(|p| p.cause);
        let body =
            group(Wait::Select, &["net/http.(*persistConn).writeLoop"], "net/http.(*Transport).dialConn");
        assert!(cause(&body).unwrap().contains("bodies"));
        let handler =
            group(Wait::Send, &["main.handle", "net/http.(*conn).serve"], "net/http.(*Server).Serve");
        assert!(cause(&handler).unwrap().contains("receiver went away"));
        let idle =
            group(Wait::Io, &["net.(*conn).Read", "net/http.(*conn).serve"], "net/http.(*Server).Serve");
        assert!(cause(&idle).unwrap().contains("clients"));
        assert_eq!(cause(&group(Wait::Running, &["main.f"], "main.g")), None);
    }
}

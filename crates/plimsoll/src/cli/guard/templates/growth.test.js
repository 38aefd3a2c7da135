// The growth test: node --test growth.test.js. It fails when an iteration leaves something behind.
// Verdict and statistics are plimsoll's (plimsoll guard run); it must be on the PATH.
'use strict';
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');

const ROUND = 1000;

// Do what must leave nothing behind: a request, a job, a message. n never comes again.
async function iteration(n) {
  // your work here
}

// Work, collect and tell, as long as it is asked for.
async function rounds() {
  for (let n = 0; ; ) {
    for (const end = n + ROUND; n < end; n += 1) await iteration(n);
    let least = Infinity;
    for (let i = 0; i < 3; i += 1) {
      global.gc();
      least = Math.min(least, process.memoryUsage().heapUsed);
    }
    const { heapTotal, external } = process.memoryUsage();
    fs.writeSync(1, `PLIMSOLL ROUND iterations=${ROUND} heap=${least + external} held=${heapTotal + external}\n`);
    const answer = Buffer.alloc(64);
    const bytes = fs.readSync(0, answer);
    if (answer.toString('utf8', 0, bytes).trim() !== 'next') return;
  }
}

if (process.env.PLIMSOLL_GUARD) {
  rounds();
} else {
  const test = require('node:test');
  test('growth', () => {
    // What V8 learns about functions is laid out at once, not when they are warm: it would be growth within the run.
    const flags = ['--expose-gc', '--no-lazy-feedback-allocation'];
    const command = ['guard', 'run', '--', process.execPath, ...flags, __filename];
    const run = spawnSync('plimsoll', command, { encoding: 'utf8' });
    if (run.status !== 0) throw new Error(run.error ? String(run.error) : run.stdout + run.stderr);
  });
}

// A service for the growth test: a bounded cache and, by its mode, a leak. `shop.js MODE PORT`; without a port it calls
// itself, and tells of its rounds (node --expose-gc).
'use strict';
const fs = require('fs');
const http = require('http');

const ROUND = 1000;
const [mode, port] = process.argv.slice(2);
const ring = new Array(500).fill('');
const seen = new Map();
const kept = [];
// Numbers in it are objects of 16 B, as it holds others, too; it never grows.
const boxed = new Array(1 << 20).fill(null);
let calls = 0;
let boxes = 0;

function call(key) {
  calls += 1;
  ring[calls % ring.length] = calls + key;
  if (mode === 'keys') seen.set(key, calls);
  if (mode === 'heap') kept.push({ call: calls });
  if (mode === 'heap16') boxed[boxes++] = calls + 0.5;
  if (mode === 'rss') for (let i = 0; i < 4; i += 1) boxed[boxes++] = calls + 0.5;
}

// Calls, collects and tells, as long as it is asked for. "warm" comes to rest at 1 MB, slowly.
function rounds() {
  for (let n = 0; ; n += 1) {
    for (let i = 0; i < ROUND; i += 1) call(`/u/${calls}`);
    if (mode === 'warm') {
      const bytes = 1e6 * (Math.exp(-n / 8) - Math.exp(-(n + 1) / 8));
      for (let left = bytes; left > 0; left -= 16) boxed[boxes++] = n + 0.5;
    }
    let least = Infinity;
    for (let i = 0; i < 3; i += 1) {
      global.gc();
      least = Math.min(least, process.memoryUsage().heapUsed);
    }
    const { heapTotal, external } = process.memoryUsage();
    const held = mode.startsWith('rss') ? '' : ` held=${heapTotal + external}`;
    fs.writeSync(1, `PLIMSOLL ROUND iterations=${ROUND} heap=${least + external}${held}\n`);
    const answer = Buffer.alloc(64);
    const bytes = fs.readSync(0, answer);
    if (answer.toString('utf8', 0, bytes).trim() !== 'next') return;
  }
}

if (port === undefined) {
  rounds();
} else {
  http.createServer((request, answer) => {
    call(request.url);
    answer.end('ok');
  }).listen(Number(port), '127.0.0.1');
}

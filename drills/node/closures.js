// Drill: retention. A listener per request, never removed: each closure keeps its request alive.
// Arguments are key=value: rate (KiB per second), seed.
'use strict';
const { EventEmitter } = require('events');

const args = Object.fromEntries(process.argv.slice(2).map((a) => a.split('=')));
const rate = Number(args.rate || 1024) * 1024;
let seed = Number(args.seed || 1);
const random = () => {
  seed = (seed * 1103515245 + 12345) % 2147483648;
  return seed / 2147483648;
};

const bus = new EventEmitter();
bus.setMaxListeners(0);
const began = process.hrtime.bigint();
const age = () => Number(process.hrtime.bigint() - began) / 1e9;
const EACH = 2900;
let stored = 0;
let blackhole = 0;

function handle() {
  const request = { headers: new Array(200).fill(0).map(() => random()), path: '/p/' + random() };
  bus.on('flush', () => request.path.length);
  stored += EACH;
  // Garbage of the request itself.
  blackhole += JSON.stringify(request.headers).length;
}

setInterval(() => {
  const due = rate * age();
  for (let i = 0; stored < due && i < 5000; i++) handle();
}, 5);

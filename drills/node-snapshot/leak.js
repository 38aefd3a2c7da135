// Writes heap snapshots of one known shape each: node leak.js SHAPE ENTRIES FILE [SNAPSHOTS]
// Shapes: cache, closure, listener, timer, bounded. With SNAPSHOTS > 1 the same is added between one and the next,
// and the files are FILE.1, FILE.2 and on.
'use strict';
const v8 = require('v8');
const { EventEmitter } = require('events');

const [shape, entries, file, snapshots] = process.argv.slice(2);
const wanted = Number(entries);

class Session {
  constructor(number) {
    this.number = number;
    this.token = `token-${number}-${'x'.repeat(40)}`;
  }
}

const sessionCache = new Map();
const pendingCallbacks = [];
const bus = new EventEmitter();
bus.setMaxListeners(0);

function subscribe(number) {
  const payload = new Session(number);
  return function onEvent() { return payload; };
}

const LIMIT = 100;
const recent = new Map();
function remember(key, value) {
  recent.set(key, value);
  if (recent.size > LIMIT) recent.delete(recent.keys().next().value);
}

const add = {
  cache(n) { sessionCache.set(`/api/user/${n}/cart`, new Session(n)); },
  closure(n) { pendingCallbacks.push(subscribe(n)); },
  listener(n) { bus.on('change', subscribe(n)); },
  timer(n) { const held = new Session(n); setTimeout(() => held, 1 << 30); },
  bounded(n) { remember(`/api/user/${n}/cart`, new Session(n)); },
};

const rounds = Number(snapshots || 1);
for (let round = 0, n = 0; round < rounds; round += 1) {
  for (let i = 0; i < wanted; i += 1, n += 1) add[shape](n);
  v8.writeHeapSnapshot(rounds > 1 ? `${file}.${round + 1}` : file);
}
process.exit(0);

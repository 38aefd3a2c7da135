// Writes heap snapshots of one known shape each: node leak.js SHAPE ENTRIES FILE [SNAPSHOTS [numbers]]
// Shapes: cache, closure, listener, timer, bounded, recent (full, with its bound in a field), unbounded (a bound of -1).
// With `numbers` the snapshot has the values of numbers. With SNAPSHOTS > 1 the same is added between one and the next,
// and the files are FILE.1, FILE.2 and on.
'use strict';
const v8 = require('v8');
const { EventEmitter } = require('events');

const [shape, entries, file, snapshots, numbers] = process.argv.slice(2);
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

class Recent {
  constructor(max) {
    this.max = max;
    this.map = new Map();
  }

  set(key, value) {
    this.map.set(key, value);
    if (this.max > 0 && this.map.size > this.max) this.map.delete(this.map.keys().next().value);
  }
}
const last = new Recent(shape === 'recent' ? Math.floor(wanted / 2) : -1);

const add = {
  recent(n) { last.set(`/api/user/${n}/cart`, new Session(n)); },
  unbounded(n) { last.set(`/api/user/${n}/cart`, new Session(n)); },
  cache(n) { sessionCache.set(`/api/user/${n}/cart`, new Session(n)); },
  closure(n) { pendingCallbacks.push(subscribe(n)); },
  listener(n) { bus.on('change', subscribe(n)); },
  timer(n) { const held = new Session(n); setTimeout(() => held, 1 << 30); },
  bounded(n) { remember(`/api/user/${n}/cart`, new Session(n)); },
};

const rounds = Number(snapshots || 1);
for (let round = 0, n = 0; round < rounds; round += 1) {
  for (let i = 0; i < wanted; i += 1, n += 1) add[shape](n);
  v8.writeHeapSnapshot(rounds > 1 ? `${file}.${round + 1}` : file, { exposeNumericValues: numbers === 'numbers' });
}
process.exit(0);

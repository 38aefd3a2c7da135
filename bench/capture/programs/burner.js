// Holds a V8 heap of SIZE MiB of a SHAPE, and serves metrics; `burn RATE TOTAL` (MiB a second, MiB) then takes more at that rate,
// up to that much. `busy` as the last word makes garbage all the time.
'use strict';
const [wanted, shape] = [Number(process.argv[2]) * 1048576, process.argv[3] || 'objects'];
const make = {
  objects: (n) => ({ id: n, next: { name: n } }),
  numbers: (n) => [n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7],
  strings: (n) => `the name of number ${n} is ${n * 7919}`.slice(0, -1).toUpperCase(),
  closures: (n) => () => n,
  maps: (n) => new Map([[n, n]]),
  wide: (n) => ({ a: n, b: n, c: n, d: n, e: n, f: n, g: n, h: n, i: n, j: n, k: n, l: n }),
  large: (n) => String.fromCharCode(97 + (n % 26)).repeat(10240).toUpperCase(),
  doubles: (n) => new Array(1000).fill(n + 0.5),
  buffers: () => Buffer.alloc(1 << 16, 1),
}[shape];
const kept = [];
const used = () => process.memoryUsage()[shape === 'buffers' ? 'external' : 'heapUsed'];
while (used() < wanted) {
  for (let i = 0; i < 500; i++) kept.push(make(kept.length));
}
if (global.gc) global.gc();
if (process.argv[4] === 'busy') {
  setInterval(() => Array.from({ length: 5000 }, (_, n) => make(n)), 5);
}
const burnt = [];
function burn(rate, total) {
  const began = process.hrtime.bigint();
  const timer = setInterval(() => {
    const due = Math.min((Number(process.hrtime.bigint() - began) / 1e9) * rate, total) * 4;
    while (burnt.length < due) burnt.push(Buffer.alloc(256 << 10, 1));
    if (burnt.length >= total * 4) clearInterval(timer);
  }, 2);
}
const page = () => `# TYPE nodejs_heap_size_used_bytes gauge\nnodejs_heap_size_used_bytes ${process.memoryUsage().heapUsed}\n`;
require('http')
  .createServer((ask, answer) => answer.writeHead(ask.url === '/metrics' ? 200 : 404).end(page()))
  .listen(0, '127.0.0.1', () => {
    console.log('ready', process.memoryUsage().heapUsed, process.versions.node);
  });
let input = '';
process.stdin.on('data', (text) => {
  input += text;
  for (let end = input.indexOf('\n'); end >= 0; end = input.indexOf('\n')) {
    const words = input.slice(0, end).split(' ');
    input = input.slice(end + 1);
    if (words[0] === 'burn') burn(Number(words[1]), Number(words[2]));
    console.log('lap 0');
  }
});
// What is held must be needed once more, or it is not held.
process.stdin.on('end', () => process.exit(kept.length === 0 ? 1 : 0));

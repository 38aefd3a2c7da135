// Holds a heap of a given size (MiB) of small objects, and tells for how long it stood still.
'use strict';
const wanted = Number(process.argv[2]) * 1048576;
const kept = [];
while (process.memoryUsage().heapUsed < wanted) {
  for (let i = 0; i < 1000; i++) kept.push({ id: kept.length, next: { name: i } });
}
if (global.gc) global.gc();
let longest = 0;
let since = process.hrtime.bigint();
setInterval(() => {
  const now = process.hrtime.bigint();
  if (Number(now - since) > longest) longest = Number(now - since);
  since = now;
}, 1);
let input = '';
process.stdin.on('data', (text) => {
  input += text;
  for (let end = input.indexOf('\n'); end >= 0; end = input.indexOf('\n')) {
    input = input.slice(end + 1);
    const now = process.hrtime.bigint();
    console.log('lap', Math.floor(Math.max(longest, Number(now - since)) / 1000));
    longest = 0;
    since = now;
  }
});
// What is held must be needed once more, or it is not held.
process.stdin.on('end', () => process.exit(kept.length === 0 ? 1 : 0));
console.log('ready', process.memoryUsage().heapUsed, process.versions.node);

// A service for the growth test: a bounded cache and, by its mode, a leak. `shop.js MODE PORT`.
'use strict';
const http = require('http');

const [mode, port] = process.argv.slice(2);
const ring = new Array(500).fill('');
const seen = new Map();
const kept = [];
let calls = 0;

http.createServer((request, answer) => {
  calls += 1;
  ring[calls % ring.length] = calls + request.url;
  if (mode === 'keys') seen.set(request.url, calls);
  if (mode === 'heap') kept.push({ call: calls });
  answer.end('ok');
}).listen(Number(port), '127.0.0.1');

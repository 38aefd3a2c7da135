# Holds SIZE MiB of small objects (`objects`: those that the collector tracks), and serves metrics; `burn RATE TOTAL` (MiB a second, MiB) then takes more at that rate, up to
# that much.
import http.server
import sys
import threading
import time

size = int(sys.argv[1]) << 20
if "objects" in sys.argv:
    kept = [[i] for i in range(size // 124)]
else:
    kept = [bytes(64) + i.to_bytes(8, "little") for i in range(size // 113)]
burnt = []


def burn(rate, total):
    began = time.monotonic()
    while len(burnt) < total * 4:
        while len(burnt) < min((time.monotonic() - began) * rate, total) * 4:
            burnt.append(bytearray(b"x" * (256 << 10)))
        time.sleep(0.002)


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/metrics" else 404)
        self.end_headers()
        self.wfile.write(b"# TYPE python_gc_objects gauge\npython_gc_objects 7\npython_allocated_blocks %d\n" % sys.getallocatedblocks())

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
threading.Thread(target=server.serve_forever, daemon=True).start()
print("ready", len(kept), flush=True)
for line in sys.stdin:
    words = line.split()
    if words[0] == "burn":
        threading.Thread(target=burn, args=(float(words[1]), float(words[2])), daemon=True).start()
    print("lap 0", flush=True)

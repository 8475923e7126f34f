# Serves the folder mirror of a work folder on a free port, which it writes to the file port. The first folder of an
# address says how the archive is served; the rest always is as it should be. Each request is a line of the file
# requests.
import http.server, os, sys, time
work = sys.argv[1]

class Handler(http.server.BaseHTTPRequestHandler):
    cuts = 0
    def log_message(self, *arguments): pass

    def do_HEAD(self): self.answer(False)
    def do_GET(self): self.answer(True)

    def answer(self, whole):
        mode, name = self.path.strip("/").split("/")
        span = self.headers.get("Range")
        with open(work + "/requests", "a") as log: log.write(f"{self.command} {name} {span}\n")
        special = name.endswith(".gz")
        path = os.path.join(work, "mirror", name)
        if not os.path.exists(path) or special and mode == "none": return self.send_error(404)
        if special and mode == "busy": return self.send_error(503)
        if special and mode == "silent": return time.sleep(30)
        if special and mode == "shy" and not whole: return self.send_error(405)
        data = open(work + "/page" if special and mode == "page" else path, "rb").read()
        if span and mode != "plain":
            start = int(span.split("=")[1].split("-")[0])
            if start >= len(data): return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            data = data[start:]
        else: self.send_response(200)
        if mode != "shy": self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if not whole: return
        half = len(data) // 2 if special and mode in ("cut", "plain", "gate") else len(data)
        if mode == "hang" and special: half = 500 # curl's speed is that of the last seconds
        if mode == "cut" and Handler.cuts == 2: half, Handler.cuts = len(data), 0
        elif mode == "cut" and special: Handler.cuts += 1
        self.wfile.write(data[:half])
        self.wfile.flush()
        if mode == "hang" and special: time.sleep(30)
        while mode == "gate" and special and not os.path.exists(work + "/gate"): time.sleep(0.02)
        if mode == "gate" and special: self.wfile.write(data[half:])

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
with open(work + "/port.new", "w") as file: file.write(str(server.server_address[1]))
os.rename(work + "/port.new", work + "/port")
server.serve_forever()

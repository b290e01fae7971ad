#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pln pipe between two processes: without anything set up, and through the nodes of a cluster."""
import hashlib
import os
import re
import select
import signal
import subprocess
import threading

import pln

BIG_BYTES = int(os.environ.get("PLN_PIPE_BYTES", 100 * 1024 * 1024))


class Side:
    """A pln process with its streams; listen() gives the ticket."""

    def __init__(self, *args, stdin=subprocess.PIPE, stdout=subprocess.PIPE):
        environment = {key: value for key, value in os.environ.items() if key != "POLLEN_TOKEN"}
        self.process = subprocess.Popen([pln.PLN, *args], stdin=stdin, stdout=stdout,
                                        stderr=subprocess.PIPE, env=environment)

    def ticket(self):
        line = self.process.stderr.readline().decode()
        return re.fullmatch(r"on the other side: pln pipe connect (pln1[\w-]+)\n", line).group(1)

    def end(self, text=b"", timeout=pln.WAIT_S):
        """Sends the rest; returns exit code, output and diagnostics."""
        out, err = self.process.communicate(text, timeout=timeout)
        return self.process.returncode, out, err.decode()

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None and not stream.closed:
                stream.close()


class PipeCase(pln.TestCase):
    def side(self, *args, **streams):
        side = Side(*args, **streams)
        self.addCleanup(side.stop)
        return side

    def listen(self, *args, **streams):
        return self.side("pipe", "listen", "--ips", "127.0.0.1", *args, **streams)

    def file(self, name, size):
        """A file of bytes that do not repeat in step with any block, and its hash."""
        path = os.path.join(self.root, name)
        block = b"".join(hashlib.sha512(f"{name}{i}".encode()).digest() for i in range(1025))
        with open(path, "wb") as file:
            for start in range(0, size, len(block)):
                file.write(block[:size - start])
        return path, self.hash(path)

    def hash(self, path):
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") \
                else hashlib.sha256(file.read()).hexdigest()


class Pipe(PipeCase):
    def test_both_ways(self):
        listener = self.listen()
        connector = self.side("pipe", "connect", listener.ticket())
        listener.process.stdin.write(b"from the listener")
        listener.process.stdin.close()
        listener.process.stdin = None
        code, out, err = connector.end(b"to the listener")
        self.assertEqual((code, out, err), (0, b"from the listener", ""))
        self.assertEqual(listener.end()[:2], (0, b"to the listener"))

    def test_nothing_at_all(self):
        listener = self.listen(stdin=subprocess.DEVNULL)
        connector = self.side("pipe", "connect", listener.ticket(), stdin=subprocess.DEVNULL)
        self.assertEqual(connector.end(None)[:2], (0, b""))
        self.assertEqual(listener.end(None)[:2], (0, b""))

    def test_a_large_file_each_way_at_once(self):
        up, up_hash = self.file("up", BIG_BYTES)
        down, down_hash = self.file("down", BIG_BYTES // 8)
        got_up, got_down = os.path.join(self.root, "got_up"), os.path.join(self.root, "got_down")
        with open(up, "rb") as u, open(down, "rb") as d, open(got_up, "wb") as gu, open(got_down, "wb") as gd:
            listener = self.listen(stdin=d, stdout=gu)
            connector = self.side("pipe", "connect", listener.ticket(), stdin=u, stdout=gd)
            self.assertEqual(connector.end(None, timeout=600)[0], 0)
            self.assertEqual(listener.end(None, timeout=600)[0], 0)
        self.assertEqual(self.hash(got_up), up_hash)
        self.assertEqual(self.hash(got_down), down_hash)

    def test_one_way_goes_on_after_the_other_ended(self):
        listener = self.listen()
        connector = self.side("pipe", "connect", listener.ticket(), stdin=subprocess.DEVNULL)
        for line in (b"one\n", b"two\n"):
            listener.process.stdin.write(line)
            listener.process.stdin.flush()
            self.assertEqual(connector.process.stdout.readline(), line)
        listener.process.stdin.close()
        listener.process.stdin = None
        self.assertEqual(connector.end(None)[:2], (0, b""))
        self.assertEqual(listener.end(None)[:2], (0, b""))

    def test_the_ticket_from_a_file_and_the_environment(self):
        for way in ("file", "environment", "stdin"):
            listener = self.listen(stdin=subprocess.DEVNULL)
            ticket = listener.ticket()
            path = os.path.join(self.root, "ticket")
            with open(path, "w", encoding="ascii") as file:
                file.write(ticket + "\n")
            args = {"file": [f"@{path}"], "environment": [], "stdin": ["-"]}[way]
            result = pln.run("pipe", "connect", *args, stdin=ticket if way == "stdin" else "sent",
                             env={"POLLEN_TOKEN": ticket} if way == "environment" else None)
            self.check(result, 0)
            self.assertEqual(listener.end(None)[1], b"" if way == "stdin" else b"sent")

    def test_neither_process_list_nor_core_file_tells_the_ticket(self):
        listener = self.listen()
        ticket = listener.ticket()
        connector = self.side("pipe", "connect", ticket)
        listener.process.stdin.write(b"x")
        listener.process.stdin.flush()
        self.assertEqual(connector.process.stdout.read(1), b"x")  # So it runs, and has read its ticket.
        for side in (listener, connector):
            with open(f"/proc/{side.process.pid}/cmdline", "rb") as file:
                self.assertNotIn(ticket.encode(), file.read())
            with open(f"/proc/{side.process.pid}/limits", encoding="ascii") as file:
                core = next(line for line in file if line.startswith("Max core file size"))
            self.assertEqual(core.split()[4:6], ["0", "0"])
        listener.process.stdin.close()
        listener.process.stdin = None
        self.assertEqual(connector.end()[0], 0)
        self.assertEqual(listener.end()[0], 0)

    def test_bad_tickets(self):
        for ticket in ("x", "pln1", "pln1AAAA", "pln1" + "A" * 400):
            self.check_fails(pln.run("pipe", "connect", ticket), 2, "not a ticket", "copy the whole ticket")

    def test_nobody_listens(self):
        listener = self.listen(stdin=subprocess.DEVNULL)
        ticket = listener.ticket()
        listener.stop()
        result = pln.run("pipe", "connect", "--timeout", "1s", ticket)
        self.assertIn(result.code, (1, 7), str(result))
        self.assertIn("does `pln pipe listen` still wait", result.err)

    def test_nobody_comes(self):
        self.check(pln.run("pipe", "listen", "--timeout", "100ms"), 7)

    def test_interrupt_while_waiting_and_while_running(self):
        listener = self.listen()
        ticket = listener.ticket()
        listener.process.send_signal(signal.SIGINT)
        self.assertEqual(listener.end()[0], 130)
        listener = self.listen()
        connector = self.side("pipe", "connect", listener.ticket())
        listener.process.stdin.write(b"x")
        listener.process.stdin.flush()
        self.assertEqual(connector.process.stdout.read(1), b"x")
        connector.process.send_signal(signal.SIGINT)
        self.assertEqual(connector.end()[0], 130)
        code, _, err = listener.end()
        self.assertEqual(code, 1, err)
        self.assertIn("cut off", err)
        self.assertTrue(ticket)

    def test_a_killed_side_is_a_failure_of_the_other(self):
        listener = self.listen()
        connector = self.side("pipe", "connect", listener.ticket())
        connector.process.stdin.write(b"x")
        connector.process.stdin.flush()
        self.assertEqual(listener.process.stdout.read(1), b"x")
        connector.process.kill()
        code, _, err = listener.end(b"", timeout=90)
        self.assertEqual(code, 1, err)
        self.assertIn("cut off after 1 bytes received", err)

    def test_a_third_one_is_turned_away(self):
        listener = self.listen()
        ticket = listener.ticket()
        first = self.side("pipe", "connect", ticket)
        first.process.stdin.write(b"x")
        first.process.stdin.flush()
        self.assertEqual(listener.process.stdout.read(1), b"x")
        second = pln.run("pipe", "connect", "--timeout", "60s", ticket)
        self.check_fails(second, 1, "serves somebody else")
        listener.process.stdin.close()
        listener.process.stdin = None
        self.assertEqual(first.end()[0], 0)
        self.assertEqual(listener.end(None)[0], 0)

    def test_keep_serves_a_file_again(self):
        path, digest = self.file("served", 100000)
        with open(path, "rb") as served:
            listener = self.listen("--keep", stdin=served, stdout=subprocess.DEVNULL)
            ticket = listener.ticket()
            for _ in range(3):
                connector = self.side("pipe", "connect", ticket, stdin=subprocess.DEVNULL)
                code, out, err = connector.end(None)
                self.assertEqual(code, 0, err)
                self.assertEqual(hashlib.sha256(out).hexdigest(), digest)
            listener.process.send_signal(signal.SIGTERM)
            self.assertEqual(listener.end(None)[0], 130)

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "wb") as full:
            listener = self.listen(stdin=subprocess.DEVNULL, stdout=full)
            connector = self.side("pipe", "connect", listener.ticket())
            self.assertEqual(connector.end(b"x" * 100000)[0], 1)
            code, _, err = listener.end(None)
        self.assertEqual(code, 1)
        self.assertIn("writing the output", err)


class ThroughNodes(PipeCase):
    def test_a_file_between_members(self):
        root, member = self.cluster(2)
        path, digest = self.file("file", 5000000)
        listener = self.side("--dir", root.dir, "pipe", "listen", "--port", "7", stdin=subprocess.DEVNULL)
        with open(path, "rb") as file:
            # The listener may not wait yet; a refused stream is tried again.
            def send():
                file.seek(0)
                return subprocess.run([pln.PLN, "--dir", member.dir, "pipe", "connect", root.id()[:8],
                                           "--port", "7"], stdin=file, capture_output=True,
                                          check=False).returncode == 0
            collected = []
            reader = threading.Thread(target=lambda: collected.append(listener.process.stdout.read()))
            reader.start()
            pln.until(send, "the file to be sent")
            reader.join()
        self.assertEqual(hashlib.sha256(collected[0]).hexdigest(), digest)
        self.assertEqual(listener.process.wait(timeout=pln.WAIT_S), 0)

    def test_nobody_waits_at_the_port(self):
        root, member = self.cluster(2)
        result = member.run("pipe", "connect", root.id(), "--port", "9")
        self.check_fails(result, 1, "cut off")

    def test_an_unknown_peer(self):
        node = self.node()
        node.up()
        self.check_fails(node.run("pipe", "connect", "0" * 64, "--port", "9"), 3, "no such peer")

    def test_nobody_comes(self):
        node = self.node()
        node.up()
        self.check_fails(node.run("pipe", "listen", "--port", "9", "--timeout", "100ms"), 7, "in time")

    def test_a_killed_sender_is_a_failure_of_the_receiver(self):
        root, member = self.cluster(2)
        listener = self.side("--dir", root.dir, "pipe", "listen", "--port", "7", stdin=subprocess.DEVNULL)

        def connect():
            side = self.side("--dir", member.dir, "pipe", "connect", root.id(), "--port", "7")
            side.process.stdin.write(b"x")
            try:
                side.process.stdin.flush()
            except BrokenPipeError:
                return None
            # It comes, or the stream was refused because nobody waits at the port yet.
            while not select.select([listener.process.stdout], [], [], 0.1)[0]:
                if side.process.poll() is not None:
                    return None
            return side
        sender = pln.until(connect, "a stream")
        self.assertEqual(listener.process.stdout.read(1), b"x")
        sender.process.kill()
        code, _, err = listener.end(None)
        self.assertEqual(code, 1, err)
        self.assertIn("cut off after 1 bytes received", err)


if __name__ == "__main__":
    pln.main()

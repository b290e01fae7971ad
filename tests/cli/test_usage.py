#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the command says without any node: help, versions, bad arguments."""
import re
import subprocess

import pln

VERBS = ["init", "up", "down", "invite", "join", "status", "ping", "pipe listen", "pipe connect", "id",
         "logs", "purge", "version", "help", "wait", "revoke", "metrics", "doctor",
         "bench", "netcheck"]


class Help(pln.TestCase):
    def test_every_verb_is_listed(self):
        result = self.check(pln.run("help"), 0)
        for verb in VERBS:
            self.assertRegex(result.out, rf"(?m)^  {verb} +\S")
        self.assertEqual(result.err, "")

    def test_every_verb_has_help_three_ways(self):
        for verb in VERBS:
            words = verb.split()
            texts = {self.check(pln.run(*args), 0).out
                     for args in (["help", *words], [*words, "--help"], ["-h", *words])}
            self.assertEqual(len(texts), 1, verb)
            self.assertIn(f"usage: pln {verb}", texts.pop())

    def test_help_fits_a_hundred_columns(self):
        for verb in VERBS:
            for line in pln.run("help", *verb.split()).out.splitlines():
                self.assertLessEqual(len(line), 100, line)

    def test_first_word_of_two_has_the_help_of_both(self):
        for args in (["help", "pipe"], ["pipe", "--help"], ["-h", "pipe"]):
            out = self.check(pln.run(*args), 0).out
            self.assertEqual(out, pln.run("help", "pipe", "listen").out + "\n" +
                             pln.run("help", "pipe", "connect").out)

    def test_help_alone_is_the_list(self):
        self.assertEqual(pln.run("--help").out, pln.run("help").out)

    def test_help_of_nothing_known(self):
        self.check_fails(pln.run("help", "fly"), 2, "unknown command 'fly'", "pln help")


class Version(pln.TestCase):
    def test_forms(self):
        self.assertRegex(self.check(pln.run("version", "--short"), 0).out, r"^\d+\.\d+\.\d+\n$")
        self.assertRegex(self.check(pln.run("version"), 0).out, r"^version: \d")
        self.assertEqual(pln.run("--version").out, pln.run("version").out)
        self.check_shape(self.check(pln.run("version", "--json"), 0).json(), "version")


class Usage(pln.TestCase):
    def test_nothing(self):
        self.check_fails(pln.run(), 2, "no command given", "pln help")

    def test_unknown_command(self):
        self.check_fails(pln.run("fly"), 2, "unknown command 'fly'", "pln help")
        self.check_fails(pln.run("pipe"), 2, "pipe: say what to do", "pln help pipe")
        self.check_fails(pln.run("pipe", "fly"), 2, "unknown command 'pipe fly'", "pln help")

    def test_unknown_option(self):
        self.check_fails(pln.run("id", "--wings"), 2, "unknown option '--wings'", "pln help id")
        self.check_fails(pln.run("id", "-x"), 2, "unknown option '-x'", "pln help id")

    def test_option_of_another_verb(self):
        self.check_fails(pln.run("id", "--ttl", "5m"), 2, "unknown option '--ttl'", "pln help id")

    def test_missing_value(self):
        self.check_fails(pln.run("up", "--port"), 2, "a value is missing after '--port'", "pln help up")

    def test_missing_and_surplus_operands(self):
        self.check_fails(pln.run("ping"), 2, "ping: expected PEER", "pln help ping")
        self.check_fails(pln.run("ping", "a", "b"), 2, "unexpected argument 'b'", "pln help ping")
        self.check_fails(pln.run("down", "now"), 2, "unexpected argument 'now'", "pln help down")

    def test_numbers_and_times_are_checked(self):
        for args in (["up", "--port", "65536"], ["up", "--port", "-1"], ["up", "--port", "x"],
                     ["up", "--port", ""], ["up", "--ips", "nowhere"], ["up", "--ips", "1.2.3.4:5"],
                     ["up", "--ips", ""], ["up", "--log-level", "loud"],
                     ["ping", "ab", "-c", "x"], ["ping", "ab", "--timeout", "5"],
                     ["ping", "ab", "--timeout", "0"], ["ping", "ab", "--size", "9999"],
                     ["join", "x", "--timeout", "soon"], ["logs", "-n", "-1"], ["--dir", "", "id"],
                     ["pipe", "connect", "ab", "--port", "0"], ["status", "everything"]):
            result = self.check(pln.run("--dir", self.root, *args), 2)
            self.assertTrue(result.err.startswith("pln: "), str(result))

    def test_options_stand_anywhere(self):
        first = pln.run("--dir", self.root, "--json", "id").json()
        last = pln.run("id", "--json", "--dir", self.root).json()
        glued = pln.run("id", f"--dir={self.root}", "--json").json()
        self.assertEqual(first, last)
        self.assertEqual(first, glued)

    def test_double_dash_ends_the_options(self):
        self.check_fails(pln.run("ping", "--dir", self.root, "--", "--json"), 3, "no peer is named '--json'")

    def test_errors_are_json_too(self):
        for args, code in ((["fly", "--json"], 2), (["--json", "ping"], 2), (["id", "--json", "--x"], 2),
                           (["--json", "--dir", self.root, "status"], 6)):
            result = self.check(pln.run(*args), code)
            self.check_shape(result.json(), "error")
            self.assertIn(result.json()["message"], result.err)

    def test_output_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([pln.PLN, "help"], stdout=full, stderr=subprocess.PIPE, text=True,
                                  check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("writing the output", done.stderr)

    def test_no_colour_off_a_terminal(self):
        for args in (["help"], ["fly"], ["version"]):
            result = pln.run(*args)
            self.assertIsNone(re.search("\033", result.out + result.err))


class NoDaemon(pln.TestCase):
    def test_verbs_that_need_one_say_so(self):
        node = self.node()
        for args in (["status"], ["status", "--watch"], ["ping", "ab"], ["down"], ["metrics"], ["netcheck"],
                     ["wait"], ["wait", "ab"], ["bench", "ab"], ["revoke", "ab"], ["revoke", "--yes", "ab"],
                     ["pipe", "connect", "ab", "--port", "7"], ["pipe", "listen", "--port", "7"]):
            self.check_fails(node.run(*args), 6, "no daemon is running", "up --detach")

    def test_socket_option_names_it(self):
        result = pln.run("--socket", self.root + "/other.sock", "status")
        self.check_fails(result, 6, "/other.sock", "--socket")

    def test_a_path_too_long_for_a_socket(self):
        self.check(pln.run("--socket", "/" + "x" * 150, "status"), 2)


if __name__ == "__main__":
    pln.main()

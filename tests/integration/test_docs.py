"""What the documentation tells people to type, to copy and to deploy: that memspy, the container file's reader and a cluster
would take it. Nothing is run here but memspy's own help and its check of a configuration."""
import functools
import json
import pathlib
import re
import shlex
import shutil
import subprocess
import unittest

import yaml

import harness

ROOT = harness.HERE.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CONTAINERS = ROOT / "docs/guides/containers.md"
UNIT = ROOT / "docs/memspy.service"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# memspy as a command: alone, from the source tree, in an image.
PROGRAM = re.compile(r"(?:\.?[\w./-]*/)?memspy")
CAPABILITY = re.compile(r"\b(SYS_PTRACE|PERFMON|DAC_READ_SEARCH|NET_ADMIN|BPF|SYS_ADMIN|DAC_OVERRIDE)\b")


def name(path):
    return str(path.relative_to(ROOT))


def blocks(language, pages=None):
    """(where, text) of every block of a language."""
    for page in pages or PAGES:
        text = page.read_text()
        for found in FENCE.finditer(text):
            if found[1] == language:
                yield f"{name(page)}:{text[:found.start()].count(chr(10)) + 1}", found[2]


def block_after(page, heading, language):
    """The first block of a language below a heading."""
    below = page.read_text().split(f"## {heading}\n", 1)[1]
    return next(found[2] for found in FENCE.finditer(below) if found[1] == language)


def walk(value):
    """A parsed document and everything in it."""
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(inner)


def documents():
    """(where, document) of every piece of YAML."""
    pieces = list(blocks("yaml"))
    pieces += [(name(path), path.read_text()) for suffix in ("yml", "yaml") for path in (ROOT / "docs").rglob(f"*.{suffix}")]
    for where, text in pieces:
        try:
            for document in yaml.safe_load_all(text):
                yield where, document
        except yaml.YAMLError as error:
            raise AssertionError(f"{where} is not YAML: {error}") from error


class Verb:
    """What `memspy VERB --help` says of its options: names, and the words that one takes where it takes only some."""

    def __init__(self, verb):
        text = harness.run_memspy(verb, "--help").out if verb else harness.run_memspy("--help").out
        self.takes = {}
        for line in re.findall(r"^  (-.*)$", text, re.MULTILINE):
            names, value = re.match(r"((?:-\w,)?-[\w-]+) ?(?!Excludes|Needs)([^ ]*)", line).groups()
            for option in names.split(","):
                self.takes[option] = value
        positional = re.search(r"^Positionals:\n  \w+ (\S+)", text, re.MULTILINE)
        # Some are choices of words, others one of two things, as PID|FILE.
        self.actions = positional[1].split("|") if positional and re.search(r"[a-z]\|", positional[1]) else None

    def wrong(self, words, whole):
        """What is wrong with these arguments; None when they are right. Not whole: a text that speaks of an option may
        leave its value out."""
        rest = iter(words)
        for word in rest:
            if not re.match(r"-\w|--\w", word):
                if self.actions and word not in self.actions:
                    return f"{word} is none of {self.actions}"
                continue
            option, _, value = word.partition("=")
            if option not in self.takes:
                return f"there is no {option}"
            takes = self.takes[option]
            if takes:
                value = value or next(rest, None if whole else "X")
                if value is None:
                    return f"{option} takes a value"
                if "|" in takes and value != "X" and value not in takes.split("|"):
                    return f"{option} {value} is none of {takes}"
        return None


verb_of = functools.lru_cache(maxsize=None)(Verb)


@functools.lru_cache(maxsize=None)
def verbs():
    listed = harness.run_memspy("--help").out.split("Subcommands:\n", 1)[1]
    return set(re.findall(r"^  (\w+) ", listed, re.MULTILINE))


def memspy_arguments(line):
    """The arguments of each memspy that a line of shell runs, up to a pipe, a redirection or what memspy launches."""
    line = re.sub(r"^\$ ", "", line.strip())
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # a line of output with a lone quote in it
        return
    for at, word in enumerate(words):
        if not PROGRAM.fullmatch(word) or not starts_a_command(words[:at]):
            continue
        yield list(until_the_end(words[at + 1:]))


def starts_a_command(before):
    """After these words a program's name is one: not an argument, as the image's name after -t is."""
    before = [word for word in before if word != "sudo" and not re.match(r"\w+=", word)]
    if not before or before[-1] in ("&&", "||", "|", ";", "--"):
        return True
    return before[:2] == ["docker", "run"]


def until_the_end(words):
    for word in words:
        if word == "--" or re.fullmatch(r"[|&;<>]+", word):
            return
        yield word


class Commands(unittest.TestCase):
    def assert_right(self, where, arguments, whole=True):
        verb = arguments[0] if arguments and not arguments[0].startswith("-") else None
        if verb:
            self.assertIn(verb, verbs(), f"{where}: memspy {shlex.join(arguments)}")
        wrong = verb_of(verb).wrong(arguments[1 if verb else 0:], whole)
        self.assertIsNone(wrong, f"{where}: memspy {shlex.join(arguments)}")

    def test_every_command_in_a_block_of_shell_has_options_that_exist(self):
        seen = 0
        for where, text in blocks(""):
            for line in re.sub(r"\\\n\s*", "", text).splitlines():
                for arguments in memspy_arguments(line):
                    self.assert_right(f"{where}: {line}", arguments)
                    seen += 1
        self.assertGreater(seen, 100)

    def test_every_command_in_the_text_too(self):
        seen = 0
        for page in PAGES:
            for line in re.findall(r"`(memspy [a-z][^`]*)`", FENCE.sub("", page.read_text())):
                for arguments in memspy_arguments(line):
                    if arguments[0] in verbs():  # else it is about something, as `memspy VERB --help`
                        self.assert_right(f"{name(page)}: {line}", arguments, whole=False)
                        seen += 1
        self.assertGreater(seen, 30)

    def test_a_wrong_one_would_be_found(self):
        """The check itself."""
        for line in ("memspy record -p 1 --duraton 5", "sudo memspy record --mode heap", "memspy daemon restart",
                     "docker run --rm memspy top --nosuch", "x | /memspy report --by", "$ memspy nosuch"):
            with self.assertRaises(AssertionError, msg=line):
                for arguments in memspy_arguments(line):
                    self.assert_right(line, arguments)

    def test_arguments_of_containers_and_steps_of_workflows(self):
        seen = 0
        for where, document in documents():
            for part in walk(document):
                if isinstance(part, dict) and isinstance(part.get("args"), list):
                    self.assert_right(where, part["args"])
                    seen += 1
                for line in str(part.get("run", "")).splitlines() if isinstance(part, dict) else ():
                    for arguments in memspy_arguments(line):
                        self.assert_right(f"{where}: {line}", arguments)
                        seen += 1
        self.assertGreater(seen, 4)


class Configurations(harness.Case):
    TARGET = '[[target]]\nname = "one"\ncommand = "*"\n'

    def check(self, text, code=0):
        path = self.folder / "memspy.toml"
        path.write_text(text)
        return self.run_memspy("daemon", "--config", path, "--check-config", code=code)

    def test_the_daemons(self):
        self.assertIn("is right", self.check((ROOT / "docs/memspy.toml").read_text()).out)

    def test_every_key_of_it_that_is_only_a_comment(self):
        """They stand in the section above them, or begin one, which then has all that follows."""
        secret = self.folder / "secret"
        secret.touch(0o600)
        secret.write_text("a line of sixteen and more\n")
        text = (ROOT / "docs/memspy.toml").read_text()
        text = re.sub(r"^(\w+_file|# \w+_file) = \"[^\"]*\"", rf'\1 = "{secret}"', text, flags=re.MULTILINE)
        lines, head = [], []
        for line in text.splitlines():
            bare = re.match(r"# +(\[\w+\]|\w+ = .*)", line)
            if bare and bare[1].startswith("token_file") and "or" in line.split():
                continue  # one of two ways; the other is taken
            if bare and "top of the file" in line:
                head.append(bare[1])
            else:
                lines.append(bare[1] if bare else line)
        self.assertGreater(len(head), 0)
        self.check("\n".join(head + lines))

    def test_those_of_the_pages(self):
        seen = 0
        for where, text in blocks("toml"):
            if "fail-on" in text:
                self.assertEqual(text, (ROOT / "docs/guides/memspy.toml").read_text(), where)
                continue
            with self.subTest(where):
                self.check(text if "[[target]]" in text else text + self.TARGET)
            seen += 1
        self.assertGreater(seen, 0)

    def test_those_of_config_maps(self):
        maps = [document for _, document in documents() if isinstance(document, dict) and document.get("kind") == "ConfigMap"]
        texts = [text for one in maps for key, text in one["data"].items() if key.endswith(".toml")]
        self.assertGreater(len(texts), 0)
        for text in texts:
            self.check(text)

    def test_a_broken_one_would_be_found(self):
        self.assertIn("intervall", self.check('intervall = "1s"\n' + self.TARGET, code=2).err)


# The fields that these pages may use; a mistyped one is in no such list, and a cluster would ignore it or refuse.
OBJECT = {"apiVersion", "kind", "metadata", "spec", "data"}
POD = {"shareProcessNamespace", "hostPID", "containers", "volumes", "serviceAccountName", "tolerations", "nodeSelector",
       "automountServiceAccountToken"}
CONTAINER = {"name", "image", "args", "command", "env", "ports", "securityContext", "volumeMounts", "resources"}
SECURITY = {"capabilities", "runAsUser", "runAsNonRoot", "readOnlyRootFilesystem", "allowPrivilegeEscalation", "privileged",
            "seccompProfile"}


def pods(document):
    """The pod specifications in a document: of an object, or a piece to paste into one."""
    return [part for part in walk(document) if isinstance(part, dict) and isinstance(part.get("containers"), list)]


class Manifests(unittest.TestCase):
    def test_all_yaml_parses(self):
        self.assertGreater(len(list(documents())), 5)

    def test_objects_say_what_they_are(self):
        kinds = []
        for where, document in documents():
            if isinstance(document, dict) and {"apiVersion", "kind"} & document.keys():
                kinds.append(document.get("kind"))
                self.assertLessEqual({"apiVersion", "kind", "metadata"}, document.keys(), where)
                self.assertLessEqual(document.keys(), OBJECT, where)
                self.assertRegex(document["metadata"]["name"], r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", where)
        self.assertLessEqual({"ConfigMap", "DaemonSet"}, set(kinds))

    def test_workloads_select_their_own_pods(self):
        for where, document in documents():
            if isinstance(document, dict) and document.get("kind") == "DaemonSet":
                labels = document["spec"]["template"]["metadata"]["labels"]
                self.assertLessEqual(document["spec"]["selector"]["matchLabels"].items(), labels.items(), where)

    def test_pods_have_fields_that_exist_and_volumes_that_they_mount(self):
        seen = 0
        for where, document in documents():
            for pod in pods(document):
                seen += 1
                self.assertLessEqual(pod.keys(), POD, where)
                volumes = [volume["name"] for volume in pod.get("volumes", [])]
                mounted = {mount["name"] for container in pod["containers"] for mount in container.get("volumeMounts", [])}
                self.assertEqual(set(volumes), mounted, where)
                for container in pod["containers"]:
                    self.assertLessEqual(container.keys(), CONTAINER, where)
                    self.assertLessEqual({"name", "image"}, container.keys(), where)
                    self.assertLessEqual(container.get("securityContext", {}).keys(), SECURITY, where)
        self.assertGreaterEqual(seen, 2)

    def test_files_of_config_maps_are_where_the_command_looks(self):
        for where, document in documents():
            for pod in pods(document):
                for container in pod["containers"]:
                    args = container.get("args", [])
                    for path in (args[at + 1] for at, word in enumerate(args) if word == "--config"):
                        folders = [mount["mountPath"] for mount in container["volumeMounts"]]
                        self.assertIn(str(pathlib.PurePath(path).parent), folders, where)

    def test_a_root_that_is_read_only_has_a_tmp(self):
        """The recording that every run is made into first goes there."""
        for where, document in documents():
            for pod in pods(document):
                for container in pod["containers"]:
                    if container.get("securityContext", {}).get("readOnlyRootFilesystem"):
                        self.assertIn("/tmp", [mount["mountPath"] for mount in container["volumeMounts"]], where)

    def test_the_list_of_targets_is_what_scrapers_read(self):
        """The line of docs/daemon.md that makes it, of what the daemon says, and the paths that Alloy and Parca ask then."""
        if not shutil.which("jq"):
            self.skipTest("there is no jq")
        page = (ROOT / "docs/daemon.md").read_text()
        program, = re.findall(r"\| jq '([^']*)'", page)
        said = {"schema": "memspy.targets/1", "targets": [{"pid": 4242, "service": "web"}, {"pid": 7, "service": "a \"b\""}]}
        made = json.loads(subprocess.run(["jq", program], input=json.dumps(said), stdout=subprocess.PIPE, text=True,
                                         check=True, timeout=harness.DEADLINE).stdout)
        self.assertEqual([one["labels"] for one in made],
                         [{"service_name": "web", "pid": "4242", "__profile_path__": "/targets/4242/pprof"},
                          {"service_name": "a \"b\"", "pid": "7", "__profile_path__": "/targets/7/pprof"}])
        job, = [job for _, document in documents() if "object_storage" in (document or {})
                for job in document["scrape_configs"]]
        relabel, = job["relabel_configs"]
        self.assertEqual(relabel["replacement"].replace("$1", "7"), "/targets/7/pprof")
        self.assertEqual(page.count("/etc/memspy-targets.json"), 3)  # written, and read by each

    def test_workflows(self):
        seen = 0
        for where, document in documents():
            # YAML 1.1 takes the key `on` for a truth value.
            if not isinstance(document, dict) or "jobs" not in document:
                continue
            seen += 1
            self.assertIn(True, document, where)
            for job in document["jobs"].values():
                self.assertIn("runs-on", job, where)
                for step in job["steps"]:
                    self.assertEqual(len(step.keys() & {"uses", "run"}), 1, f"{where}: {step}")
                    self.assertLessEqual(step.keys(), {"uses", "run", "name", "with", "env", "if"}, f"{where}: {step}")
                    self.assertRegex(step.get("uses", "a/b@v1"), r"^[\w-]+/[\w/-]+@v\d+$", where)
        self.assertEqual(seen, 1)


class Privileges(unittest.TestCase):
    """The tables say which capabilities each way of running memspy needs; what can be copied has just these."""

    def table(self):
        """{way: set of capabilities} of the table of forms in containers.md."""
        rows = re.findall(r"^\| \[([^\]]+)\]\(#[\w-]+\) \| [^|]* \| ([^|]*) \|", CONTAINERS.read_text(), re.MULTILINE)
        self.assertGreater(len(rows), 3)
        return {form: set(CAPABILITY.findall(capabilities)) for form, capabilities in rows}

    def test_manifests_add_what_the_table_says(self):
        table, seen = self.table(), 0
        for heading in ("Kubernetes: a sidecar", "Kubernetes: one for each node"):
            documents_of = list(yaml.safe_load_all(block_after(CONTAINERS, heading, "yaml")))
            for part in walk(documents_of):
                if isinstance(part, dict) and "capabilities" in part:
                    seen += 1
                    self.assertEqual(set(part["capabilities"]["add"]), table[heading], heading)
                    self.assertEqual(part["capabilities"]["drop"], ["ALL"], heading)
                    self.assertEqual(part["runAsUser"], 0, heading)  # capabilities do nothing for others
        self.assertEqual(seen, 2)

    def test_commands_add_what_the_table_says(self):
        table = self.table()
        for heading in ("docker", "Kubernetes: a debug container beside a running pod"):
            text = CONTAINERS.read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
            runs = re.findall(r"^docker run .*(?:\\\n.*)?|^\{\"securityContext\".*", text, re.MULTILINE)
            self.assertGreater(len(runs), 0, heading)
            for run in runs:
                self.assertEqual(set(CAPABILITY.findall(run)), table[heading], run)

    def test_the_unit_has_what_the_daemons_table_says(self):
        page = (ROOT / "docs/daemon.md").read_text().split("## Privileges\n", 1)[1]
        named = re.findall(r"^\| `(CAP_\w+)` \|", page, re.MULTILINE)
        bounding = re.search(r"^CapabilityBoundingSet=(.*)$", UNIT.read_text(), re.MULTILINE)[1].split()
        self.assertEqual(sorted(bounding), sorted(named))
        # The kernel's process events reach the host's network namespace only: a pod would gain nothing.
        pod = {"CAP_" + one for one in self.table()["Kubernetes: one for each node"]}
        self.assertEqual(pod, set(bounding) - {"CAP_NET_ADMIN"})


class ContainerFile(unittest.TestCase):
    KNOWN = {"FROM", "COPY", "WORKDIR", "ENTRYPOINT", "CMD", "LABEL", "USER", "ENV", "ARG", "EXPOSE", "VOLUME", "STOPSIGNAL"}

    def lines(self):
        text = re.sub(r"\\\n", " ", (ROOT / "Containerfile").read_text())
        return [line.split(None, 1) for line in text.splitlines() if line.strip() and not line.startswith("#")]

    def test_instructions_are_known_and_the_first_is_from(self):
        self.assertEqual(self.lines()[0], ["FROM", "scratch"])
        for instruction, _ in self.lines():
            self.assertIn(instruction, self.KNOWN)

    def test_the_entry_point_is_what_was_copied(self):
        words = dict((instruction, rest) for instruction, rest in self.lines())
        self.assertEqual(words["ENTRYPOINT"], f'["{words["COPY"].split()[-1]}"]')

#!/usr/bin/env python3
"""Breaks the alert rules one place at a time, and checks that a unit test fails each time.

    PROMTOOL=/usr/bin/promtool ./mutate-rules.py [-v] [RULE...]

All of them take an hour. MUTATIONS=84 breaks no more than so many places, the same ones each time, of each rule as many as of others.

The places are found in the text of alerts.rules.yml: every comparison, label matcher, number, range, and, or, unless,
every label of by, on, ignoring and without, every for, keep_firing_for and severity, and every rule as a whole. So a new rule is broken as
soon as it is written, and one in which nothing but the rule itself can be broken is an error. It prints a line for each
rule and each mutation that no test notices, and exits with 1 if there is one.
"""
import collections, concurrent.futures, hashlib, os, re, shutil, subprocess, sys, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT = int(os.environ.get("MUTATIONS") or 0)
PROMTOOL = os.environ.get("PROMTOOL", "promtool")
RULES = "alerts.rules.yml"
TESTS = ["alerts.records.test.yml", "alerts.test.yml", "alerts.gaps.test.yml", "alerts.inbound.test.yml", "alerts.faults.test.yml"]

# A process that lives for a second needs little garbage collection, and a database for a test no disk.
TEMPORARY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()
ENVIRONMENT = dict(os.environ, GOGC="400", GOMAXPROCS="1", TMPDIR=TEMPORARY)

# Mutations that change nothing, or nothing that a unit test can see: (rule, mutation) and why.
EQUIVALENT = {
    ("GlanceInboundImageVanished", "[6h] at 3:73 -> [12h]"): "the two must be equal, and the other one is as short",
    ("GlanceInboundImageVanished", "[6h] at 5:92 -> [12h]"): "what is older is no maximum of the other one",
    ("GlanceInboundImageVanished", "drop unless at 7:13 and what follows"): "only vmalert, with its delay, has what is held and older than the last read",
    **{("GlanceInboundImageVanished", what): "only a ruler whose results arrive late needs it, see TestLateResults" for what in (
        "drop unless at 8:13 and what follows", "== at 9:43 -> !=", "1 at 9:46 -> 0", "and at 10:15 -> unless", "drop and at 10:15 and what follows",
        "drop image_id at 10:29", "drop image_name at 10:39", "drop owner_id at 10:51", "drop owner_name at 10:61", "drop status at 10:73",
        ">= at 11:53 -> <", ">= at 11:53 -> >")},
    ("glance:inbound_image:held", "drop expected at 6:71"): "all that is seen of an image has one answer to whether its owner is expected",
}


class Rules:
    """The rules of a file in one group, by name, with what comes before the first."""

    def __init__(self, text):
        found = [(m.group(2), m.start()) for m in re.finditer(r"^      - (record|alert): (\S+)$", text, re.M)]
        ends = [start for _, start in found[1:]] + [len(text)]
        self.head = text[:found[0][1]]
        self.texts = {}
        for (name, start), end in zip(found, ends):
            while name in self.texts:  # a series may be recorded by several rules: NAME, NAME#, NAME##
                name += "#"
            self.texts[name] = text[start:end]
        if len(re.findall(r"^  - name:", text, re.M)) != 1:
            raise SystemExit("%s: more than one group" % RULES)

    def needed(self, text):
        """The names that a text has, with those that their rules have."""
        names, new = set(), {text}
        while new:
            more = {n for n in self.texts for t in new if re.search(r"(?<![\w:])%s(?![\w:])" % re.escape(n.rstrip("#")), t)} - names
            names |= more
            new = {self.texts[n] for n in more}
        return names

    def file(self, names, changed={}):
        return self.head + "".join(changed.get(n, t) for n, t in self.texts.items() if n in names)


TOKEN = re.compile(r'"[^"]*"|\[[^\]]*\]|[0-9]+(?:\.[0-9]+)?|[A-Za-z_][\w:]*|=~|!~|==|!=|>=|<=|[-+*/%^<>=(){},]')
COMPARISONS = {"==": ["!="], "!=": ["=="], ">": ["<=", ">="], "<": [">=", "<="], ">=": ["<", ">"], "<=": [">", "<"]}
MATCHERS = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}
RANGES = {"[1h]": ["[10m]"], "[5m]": ["[1m]", "[15m]"], "[10m]": ["[1m]", "[30m]"], "[6h]": ["[1h]", "[12h]"], "[15m]": ["[5m]", "[40m]"], "[45m]": ["[15m]", "[90m]"], "[1d]": ["[2h]"]}
LISTS = {"by", "on", "ignoring", "without"}
SETS = {"and": 2, "unless": 2, "or": 1}  # and their precedence


def mutations(expr):
    """Yields (what, start, end, replacement) for an expression."""
    tokens = [(m.group(), m.start(), m.end()) for m in TOKEN.finditer(expr)]
    closing, stack = {}, []
    for i, (t, _, _) in enumerate(tokens):
        if t in "({":
            stack.append(i)
        elif t in ")}":
            closing[stack.pop()] = i
    inside = {}  # token -> the bracket around it
    for a, b in closing.items():
        for i in range(a + 1, b):
            if i not in inside or inside[i] < a:
                inside[i] = a

    def line(i):
        return "%s at %d:%d" % (tokens[i][0], expr.count("\n", 0, tokens[i][1]) + 1, tokens[i][1] - expr.rfind("\n", 0, tokens[i][1]))

    for i, (t, start, end) in enumerate(tokens):
        bracket = tokens[inside[i]][0] if i in inside else ""
        if bracket == "{":
            if t in MATCHERS:
                yield "%s -> %s" % (line(i), MATCHERS[t]), start, end, MATCHERS[t]
                a, b = tokens[i - 1][1], tokens[i + 1][2]
                if tokens[i + 2][0] == ",":
                    b = tokens[i + 2][2]
                elif tokens[i - 2][0] == ",":
                    a = tokens[i - 2][1]
                yield "drop the matcher %s" % line(i - 1), a, b, ""
        elif t in COMPARISONS:
            # ">= 0" asks for what is held, and -1 is over: nothing was last seen in the first seconds of 1970.
            for new in ["<"] if (t, tokens[i + 1][0]) == (">=", "0") else COMPARISONS[t]:
                yield "%s -> %s" % (line(i), new), start, end, new
        elif t in RANGES:
            for new in RANGES[t]:
                yield "%s -> %s" % (line(i), new), start, end, new
        elif t[0] == "[":
            raise SystemExit("range %s: add a mutation to RANGES" % t)
        elif re.fullmatch(r"[0-9.]+", t):
            if t in ("0", "1"):
                if tokens[i - 1][0] in COMPARISONS and tokens[i - 1][0] != ">=":
                    yield "%s -> %d" % (line(i), 1 - int(t)), start, end, str(1 - int(t))
            else:
                for factor in (1.5, 1 / 1.5):
                    yield "%s -> %g" % (line(i), float(t) * factor), start, end, "%g" % (float(t) * factor)
        elif t in ("max", "min"):
            # Over what is filtered to one value, and over a member's one row, max and min are the same.
            a = next(j for j in range(i + 1, len(tokens)) if tokens[j][0] == "(" and j - 1 in closing.values())
            if not any(tokens[j][0] in COMPARISONS or ":held" in tokens[j][0] for j in range(a, closing[a])):
                new = "min" if t == "max" else "max"
                yield "%s -> %s" % (line(i), new), start, end, new
        elif t in LISTS and tokens[i + 1][0] == "(":
            labels = [j for j in range(i + 2, closing[i + 1]) if tokens[j][0] != ","]
            for j in labels:
                rest = ", ".join(tokens[k][0] for k in labels if k != j)
                yield "drop %s" % line(j), tokens[i + 1][2], tokens[closing[i + 1]][1], rest
        elif t in SETS:
            yield "%s -> %s" % (line(i), "and" if t == "unless" else "unless"), start, end, "and" if t == "unless" else "unless"
            first, last = (inside[i], closing[inside[i]]) if i in inside else (-1, len(tokens))
            stop = next((j for j in range(i + 1, last) if inside.get(j) == inside.get(i)
                         and SETS.get(tokens[j][0], 9) <= SETS[t]), last)
            yield "drop %s and what follows" % line(i), start, tokens[stop - 1][2], ""
            if t == "or":
                begin = next((j for j in range(i - 1, first, -1) if inside.get(j) == inside.get(i)
                              and tokens[j][0] in ("or", ",")), first) + 1
                if tokens[begin - 1][0] == ",":
                    begin = first + 1
                yield "drop what precedes %s" % line(i), tokens[begin][1], end, ""


def rule_mutations(name, rule):
    """Yields (what, the rule's new text)."""
    yield "drop the rule", ""
    m = re.search(r"^        expr: \|\n((?: {10}.*\n)+)", rule, re.M)
    if not m:
        raise SystemExit("%s: write the expression as a block, expr: |" % name)
    for what, start, end, new in mutations(m.group(1)):
        yield what, rule[:m.start(1) + start] + new + rule[m.start(1) + end:]
    m = re.search(r"^        for: (\d+)m$", rule, re.M)
    if m:
        for new in ("2",) if m.group(1) == "0" else ("0", str(2 * int(m.group(1)))):
            yield "for: %sm -> %sm" % (m.group(1), new), rule[:m.start(1)] + new + rule[m.end(1):]
    m = re.search(r"^        keep_firing_for: (\d+)m$", rule, re.M)
    if m:
        for new in (str(int(m.group(1)) // 2), str(2 * int(m.group(1)))):
            yield "keep_firing_for: %sm -> %sm" % (m.group(1), new), rule[:m.start(1)] + new + rule[m.end(1):]
    for m in re.finditer(r"severity: (\w+)", rule):
        new = "info" if m.group(1) == "critical" else "critical"
        yield "severity -> %s" % new, rule[:m.start(1)] + new + rule[m.end(1):]


def alerts_of(text):
    """Yields for each ALERTS of a text whether it matches an alert of a name."""
    tests = {"=": lambda value: lambda name: name == value, "!=": lambda value: lambda name: name != value,
             "=~": lambda value: lambda name: re.fullmatch(value, name), "!~": lambda value: lambda name: not re.fullmatch(value, name)}
    for m in re.finditer(r"\bALERTS(\{[^}]*\})?", text):
        named = re.search(r'\balertname\s*(=~|!~|!=|=)\s*"([^"]*)"', m.group(1) or "")
        yield tests[named.group(1)](named.group(2)) if named else lambda name: True


class Group:
    """A test group as a file of its own, so that a mutation ends at the first that fails. It runs with the rules that it
    names, or that its ALERTS match, and those behind them: no other one can change how it ends."""

    def __init__(self, name, text, all_rules):
        self.name, self.text, self.lock, self.sound = name, text, threading.Lock(), False
        self.title = re.search(r"^  - name: (.*)", text, re.M).group(1)
        self.rules = all_rules
        self.needs = all_rules.needed(" ".join([text] + [n for n in all_rules.texts if any(matches(n) for matches in alerts_of(text))]))
        # How long it takes, roughly: the rules that are evaluated, by a millisecond.
        interval = int(re.search(r"^evaluation_interval: (\d+)m$", text, re.M).group(1))
        self.seconds = 0.05 + last_question(text) / interval * len(self.needs) / 1000

    def passes(self, directory, changed={}):
        os.makedirs(directory, exist_ok=True)
        rules = self.rules.file(self.needs, changed)
        if "alert_rule_test" not in self.text:  # the texts query, which takes most of the time
            rules = re.sub(r"^        annotations:\n(?: {10}.*\n)+", "", rules, flags=re.M)
        with open(os.path.join(directory, RULES), "w") as f:
            f.write(rules)
        with open(os.path.join(directory, self.name), "w") as f:
            f.write(self.text)
        run = subprocess.run([PROMTOOL, "test", "rules", self.name], cwd=directory, env=ENVIRONMENT,
                             capture_output=True, text=True, timeout=120)
        self.output = run.stdout + run.stderr
        return run.returncode == 0


def groups(all_rules):
    found = []
    for file in TESTS:
        with open(os.path.join(HERE, file)) as f:
            text = f.read()
        starts = [m.start() for m in re.finditer(r"^  - name: ", text, re.M)]
        header = re.sub(r"^  #.*\n", "", text[:starts[0]], flags=re.M)
        for i, start in enumerate(starts):
            end = starts[i + 1] if i + 1 < len(starts) else len(text)
            for part in (beginning(text[start:end]), text[start:end]):
                if part:
                    found.append(Group("g%03d.yml" % len(found), header + part, all_rules))
    return found


def beginning(text):
    """The first hour of a group that lasts long, or None: most mutations are noticed there."""
    checks = re.split(r"(?m)^(?=      - (?:expr|eval_time):)", text)
    early = [c for c in checks[1:] if last_question(c) <= 60]
    if not early or last_question(text) < 120 or "alert_rule_test:" in text:
        return None
    return re.sub(r"(?m)^(  - name: .*)\"$", r'\1, the first hour"', checks[0]) + "".join(early)


def last_question(text):
    """The last minute of which a test asks."""
    return max(int(minute) for minute in re.findall(r"eval_time: (\d+)m$", text, re.M))


def sample(jobs, limit):
    """As many jobs as there may be: the first of each rule, the second of each, and so on, in an order that no other rule changes."""
    by_rule = {}
    for job in sorted(jobs, key=lambda job: hashlib.sha256((job[1] + job[2]).encode()).digest()):
        by_rule.setdefault(job[1], []).append(job)
    turns = [(i, job) for rule in by_rule.values() for i, job in enumerate(rule)]
    return [job for _, job in sorted(turns, key=lambda turn: (turn[0], turn[1][0]))[:limit]]


def main():
    verbose, wanted = "-v" in sys.argv[1:], [a for a in sys.argv[1:] if a != "-v"]
    began = time.time()
    with open(os.path.join(HERE, RULES)) as f:
        all_rules = Rules(f.read())
    everything = groups(all_rules)
    root = tempfile.mkdtemp(prefix="mutate-rules.", dir=TEMPORARY)
    lock, tries, kills, unused = threading.Lock(), collections.Counter(), collections.Counter(), set(EQUIVALENT)

    def fails(g, directory, changed):
        """Whether the mutation makes the group fail, and nothing but the mutation."""
        if g.passes(directory, changed):
            return False
        with g.lock:
            if not g.sound and not g.passes(os.path.join(root, "original." + g.name)):
                raise SystemExit("without a mutation, a test fails:\n" + g.output)
            g.sound = True
        return True

    def caught(job):
        n, name, what, text = job
        directory = os.path.join(root, str(n))
        began = time.time()

        def promise(g):
            """How likely the group is to notice it for each second that it takes, as the other mutations of this rule say."""
            mentions = re.search(r"\b%s\b" % name.rstrip("#"), g.text)
            return (kills[name, g.name] + (0.5 if mentions else 0.1)) / (tries[name, g.name] + 1) / g.seconds

        with lock:
            order = sorted((g for g in everything if name in g.needs), key=promise, reverse=True)
        by = None
        for g in order:
            by = g if fails(g, directory, {name: text}) else None
            with lock:
                tries[name, g.name] += 1
                kills[name, g.name] += bool(by)
            if by:
                break
        shutil.rmtree(directory, ignore_errors=True)
        return name, what, by, time.time() - began

    try:
        jobs = []
        for name, rule in all_rules.texts.items():
            new = list(rule_mutations(name, rule))
            if len(new) < 4:
                raise SystemExit("%s: only %d mutations: nothing in it that a test could miss?" % (name, len(new)))
            if not wanted or name in wanted:
                jobs += [(len(jobs) + i, name, what, text) for i, (what, text) in enumerate(new)]
        if LIMIT:
            jobs = sample(jobs, LIMIT)
        count, lost = {}, []
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() + 1) as pool:
            for name, what, by, seconds in pool.map(caught, jobs):
                total, found = count.get(name, (0, 0))
                count[name] = (total + 1, found + bool(by))
                unused.discard((name, what))
                if not by:
                    why = EQUIVALENT.get((name, what))
                    print("%s: %s: %s" % (name, what, "changes nothing: " + why if why else "NOT CAUGHT"), flush=True)
                    if not why:
                        lost.append(what)
                elif verbose:
                    print("%s: %s: caught by %s in %.1f s" % (name, what, by.title, seconds), flush=True)
                if by and (name, what) in EQUIVALENT:
                    lost.append(what)
                    print("%s: %s: is caught: take it out of EQUIVALENT" % (name, what))
    finally:
        shutil.rmtree(root)
    for name, (total, found) in count.items():
        print("%-36s %3d of %3d caught" % (name, found, total))
    if not wanted and not LIMIT:
        for name, what in unused:
            lost.append(what)
            print("%s: %s: no such mutation: take it out of EQUIVALENT" % (name, what))
    print("%d mutations of %d rules, %d caught, %d that change nothing, %d to look at, %.0f s" % (
        len(jobs), len(count), sum(f for _, f in count.values()),
        len(jobs) - sum(f for _, f in count.values()) - sum(1 for w in lost if w), len(lost), time.time() - began))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())

# Counts the objects of this interpreter by type, for plimsoll. Nothing but built-in code is run on them, nothing is kept, and no other
# thread runs Python code meanwhile. Put before it: `out`, the file; `seconds`, after which it looks no further.
def census(out, seconds):
    import gc, posix, sys, time
    from itertools import islice

    # Of several threads that are asked the first one answers.
    file = posix.open(out + ".partial", posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW, 0o600)
    began, interval = time.monotonic(), sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        text = count(gc, sys, time.monotonic, islice, began + seconds)
    except BaseException as e:
        text = f"# not counted: {type(e).__name__}\n"
    finally:
        sys.setswitchinterval(interval)
    data = text.encode("utf-8", "replace")
    while data:
        data = data[posix.write(file, data):]
    posix.fsync(file)
    posix.close(file)
    posix.rename(out + ".partial", out)


def count(gc, sys, now, islice, end):
    FULL, LARGE, LEAVES = 1_000_000, 10_000, 100_000
    mro, members, flags = (type.__dict__[n].__get__ for n in ("__mro__", "__dict__", "__flags__"))
    written_in_c, tracked, references = type(str.join), gc.is_tracked, sys.getrefcount
    containers = {list: iter, tuple: iter, set: iter, frozenset: iter, dict: dict.values}
    rows = {}

    def size_of(kind):
        # The first one of C: one of Python might do anything.
        for base in mro(kind):
            size = members(base).get("__sizeof__")
            if type(size) is written_in_c:
                return size
        return object.__sizeof__

    def row(kind):
        return rows.setdefault(id(kind), [kind, size_of(kind), 16 if flags(kind) & 1 << 14 else 0, 0, 0])

    def add(o, times):
        r = rows.get(id(type(o))) or row(type(o))
        r[3] += times
        r[4] += (r[1](o) + r[2]) * times

    def leaves(them, each, ours=0):
        # What the collector does not track is seen by its references: of n, each counts as a part of 1/n.
        for o in them:
            if not tracked(o):
                n = references(o) - spare - ours
                if 0 < n < 1 << 28:
                    add(o, each / n)

    def inside(o, all):
        kind = type(o)
        if kind not in containers:
            # The list of what it refers to is one more reference.
            return leaves(iter(gc.get_referents(o)), all, 1)
        stride = len(o) // LEAVES + 1
        try:
            leaves(islice(containers[kind](o), 0, None, stride), all * stride)
            if kind is dict:
                leaves(islice(iter(o), 0, None, stride), all * stride)
        except RuntimeError:
            pass  # It was changed meanwhile.

    def is_large(o):
        return type(o) in containers and len(o) >= LARGE

    def held(them):
        for o in them:
            return references(o) - 1

    # References that such a loop holds itself.
    spare = held(iter([bytes(1000)]))
    objects = gc.get_objects()
    step, looked = len(objects) // FULL + 1, 0
    # The large ones are few and tell the most: each of them, before the rest is sampled.
    for o in objects if step > 1 else ():
        if is_large(o):
            add(o, 1)
            inside(o, 1)
            if now() > end:
                break
    for o in islice(objects, 0, None, step):
        if step == 1 or not is_large(o):
            add(o, step)
            inside(o, step)
        looked += 1
        if not looked & 1023 and now() > end:
            break
    part = looked * step / max(len(objects), 1)
    total, lines = [0, 0], []
    for kind, _, _, n, size in sorted(rows.values(), key=lambda r: -r[4]):
        n, size = round(n), round(size)
        module = members(kind).get("__module__")
        name = kind.__qualname__ if type(kind) is type else type.__dict__["__qualname__"].__get__(kind)
        if type(module) is str and module != "builtins" and not name.startswith(module + "."):
            name = f"{module}.{name}"
        name = "".join(c if c.isprintable() and not c.isspace() else "?" for c in name)[:500]
        if n:
            total[0] += n
            total[1] += size
            lines.append(f"{len(lines) + 1:4}: {n:14} {size:14}  {name}\n")
    head = f"# CPython {sys.version.split()[0]}: {len(objects)} objects that the collector tracks"
    head += f", one in {step} looked at" if step > 1 else ""
    head += f", {part:.0%} of them within the time\n" if part < 0.99 else "\n"
    head += "# what it does not track (text, numbers) is counted by the references to it from those\n"
    head += " num     #instances         #bytes  type name\n-------------------------------------------------\n"
    return head + "".join(lines) + f"Total {total[0]:13} {total[1]:14}\n"


census(out, seconds)

#!/usr/bin/env python3
"""Checks the hard rules of the style that neither compiler nor clang-format knows (CONTRIBUTING.md).

    scripts/check_style.py [--self-test] [ROOT]

Faults end with exit code 1; warnings (aims that a file or function misses) do not.
"""
import pathlib
import re
import subprocess
import sys

import cpp_scan

FILE_LINES = 500
FUNCTION_LINES, FUNCTION_AIM = 80, 60
PARAMETERS, PARAMETER_AIM = 6, 5
KERNEL_PARAMETERS = 7  # what an inlined kernel keeps in registers, a struct might not
SCRIPT_COLUMNS = 150  # clang-format sees to the 100 of C++
CPP = {".h", ".cpp", ".cu", ".cuh"}
SOURCES = CPP | {".py", ".sh", ".cmake", ".in"}
PROSE = {".md", ".txt", ".json", ""}
# Files that may hold conditional compilation: backends by nature, the choice of instruction sets,
# and the one home of differences between LibTorch versions.
CONDITIONAL = re.compile(r"src/backends/|core/cpu\.(?:h|cpp)$|torch_compat\.(?:h|cpp)$")

# Rules for one line of C++ code, comments and strings blanked: (pattern, fault, where)
CODE_RULES = [
    (r"\busing namespace\b", "using namespace", ""),
    # PCRE2's header asks its user for the first one; the others tell nvcc for which side it compiles.
    (r"^\s*#\s*define\b(?! (?:PCRE2_CODE_UNIT_WIDTH|PTQ_DEVICE|PTQ_HOST_DEVICE) )", "a macro", ""),
    (r"\bnew\s+[A-Za-z_:]+\s*[({;]", "new: use make_unique or a container", ""),
    (r"\((?:unsigned |signed )?(?:int|float|double|char|long|bool|size_t|u?int\d+_t)[ *]*\)\s*"
     r"(?!const|noexcept|override|final)[\w(]", "a C cast", ""),
    (r"\bstd::(?:cout|cerr|clog)\b|(?<![\w:])(?:std::)?(?:printf|puts|abort|exit)\(",
     "a library must not print or end the process", "src/"),
    (r"\bDISABLED_", "a disabled test", "tests/"),
]
# Built from parts, so that this file passes its own check.
HOSTS = "|".join(["py" + "pi[.]org", "python" + "hosted[.]org", "debian" + "[.]org",
                  "crates" + "[.]io", "npm" + "js[.]", "download[.]" + "pytorch[.]org"])
FOLDERS = "|".join(["ho" + "me", "ro" + "ot", "wo" + "rk", "t" + "mp", "o" + "pt", "mn" + "t"])
# Rules for one line of any text file.
TEXT_RULES = [
    (r"\b(?:TO" + r"DO|FIX" + r"ME)\b(?!\(#\d+\))", "an open end without an issue number, (#12)"),
    (HOSTS, "the host of a package registry"),
    (r"(?<![\w.$}*~-])/(?:" + FOLDERS + r")/", "an absolute path"),
    (r"[ \t]+$", "blanks at the end of the line"),
]
TEST_NAME = re.compile(r"\bTEST(?:_F|_P)?\(\s*(\w+)\s*,\s*(\w+)\s*\)")
# What explains itself: constructors, operators, overrides, accessors with a body on the line.
SELF_EVIDENT = re.compile(
    r"\boverride\b|\bfinal\b|= ?(?:default|delete)\b|\boperator\b|^friend\b|^using\b|^explicit\b"
    r"|^(?:virtual )?~|^\w+\(|^template <> |^static_assert\b|^class \w+$|^struct \w+$|^enum class \w+$")


def code_faults(path, text):
    """Faults of a C++ file, line by line."""
    code = cpp_scan.blank(text, keep_directives=True)
    lines = zip(text.split("\n"), code.split("\n"))
    for number, (_, line) in enumerate(lines, 1):
        where = f"{path}:{number}"
        for pattern, fault, folder in CODE_RULES:
            if str(path).startswith(folder) and re.search(pattern, line):
                yield f"{where}: {fault}"
        if re.match(r"\s*#\s*(?:if|ifdef|ifndef|elif)\b", line) and not CONDITIONAL.search(str(path)):
            yield f"{where}: conditional compilation"
        if not line.isascii():
            yield f"{where}: a character outside ASCII in code"
    for suite, name in TEST_NAME.findall(text):
        if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name) or len(re.findall(r"[A-Z]", name)) < 2:
            yield f"{path}: test {suite}.{name} does not say the law it checks"
    if path.suffix == ".h" and "#pragma once" not in text:
        yield f"{path}: no #pragma once"


def size_faults(path, text):
    """Functions too long or with too many parameters; messages that begin with "warning" are aims."""
    for function in cpp_scan.functions(text):
        where = f"{path}:{function.line}: {function.name}"
        if function.lines > FUNCTION_LINES:
            yield f"{where} has {function.lines} lines, more than {FUNCTION_LINES}"
        elif function.lines > FUNCTION_AIM:
            yield f"warning: {where} has {function.lines} lines; the aim is {FUNCTION_AIM}"
        limit = KERNEL_PARAMETERS if "kernels" in path.parts else PARAMETERS
        if function.parameters > limit:
            yield f"{where} has {function.parameters} parameters, more than {limit}"
        elif function.parameters > PARAMETER_AIM:
            yield f"warning: {where} has {function.parameters} parameters; the aim is {PARAMETER_AIM}"


def header_faults(path, text):
    """Public declarations without their `///`."""
    for declaration in cpp_scan.declarations(text):
        is_type = re.match(r"(?:template ?<.*?> )?(?:class|struct|enum)\b", declaration.text)
        is_function = "(" in declaration.text
        if declaration.documented or SELF_EVIDENT.search(declaration.text):
            continue
        # Members without parameters are told by their names and their class's comment.
        if declaration.in_class and (not is_function or "()" in declaration.text):
            continue
        if is_type or is_function:
            yield f"{path}:{declaration.line}: no /// comment: {declaration.text[:60]}"


def text_faults(path, text):
    """Faults that any text file can have."""
    lines = text.split("\n")
    if path.suffix in SOURCES and len(lines) - 1 > FILE_LINES:
        yield f"{path}: {len(lines) - 1} lines, more than {FILE_LINES}"
    if path.suffix in SOURCES and text and not text.endswith("\n"):
        yield f"{path}: no newline at the end"
    for number, line in enumerate(lines, 1):
        for pattern, fault in TEXT_RULES:
            if re.search(pattern, line):
                yield f"{path}:{number}: {fault}"
        if path.suffix in SOURCES - CPP and len(line) > SCRIPT_COLUMNS:
            yield f"{path}:{number}: {len(line)} columns, more than {SCRIPT_COLUMNS}"


def faults_of(path, text):
    """Every fault and warning of the file at `path`, relative to the root."""
    found = list(text_faults(path, text))
    if path.suffix in CPP:
        found += code_faults(path, text)
        found += size_faults(path, text)
        if path.parts[:2] == ("include", "ptq"):
            found += header_faults(path, text)
    return found


def is_checked(path):
    data = path.parts[0] in ("models", "build") or "data" in path.parts or path.name == "LICENSE"
    return path.suffix in SOURCES | PROSE and not data


def files_of(root):
    """Every file that git tracks or would add; of a release without .git, every file."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            cwd=root, capture_output=True, text=True)
    if listed.returncode == 0:
        return sorted(set(listed.stdout.split("\0")) - {""})
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def check(root):
    """Faults of every file below `root` that the rules concern."""
    found = []
    for name in files_of(root):
        path = pathlib.PurePath(name)
        if not is_checked(path) or not (root / path).is_file() or (root / path).is_symlink():
            continue
        try:
            found += faults_of(path, (root / path).read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            found.append(f"{path}: not UTF-8: {error}")
    return found


def main(arguments):
    root = pathlib.Path(__file__).resolve().parent.parent
    if arguments[:1] == ["--self-test"]:
        import check_style_cases
        found = check_style_cases.run(faults_of)
    else:
        found = check(pathlib.Path(arguments[0]) if arguments else root)
    faults = [line for line in found if not line.startswith("warning")]
    for line in found:
        print(line)
    print(f"check_style: {len(faults)} faults, {len(found) - len(faults)} warnings")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

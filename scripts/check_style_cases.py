"""The self-test of check_style.py: each bad snippet must be found, each good one must pass."""
import pathlib

BODY = "  work();\n"
OPEN_END = "TO" + "DO"

# (path, text, words that a fault must contain; None: no fault and no warning)
CASES = [
    ("src/io/a.cpp", "int x;\n" * 501, "501 lines"),
    ("src/io/a.cpp", "int x;\n" * 500, None),
    ("src/io/a.cpp", "void f() {\n" + BODY * 79 + "}\n", "f has 81 lines"),
    ("src/io/a.cpp", "void f() {\n" + BODY * 70 + "}\n", "warning"),
    ("src/io/a.cpp", "void f() {\n" + BODY * 58 + "}\n", None),
    ("src/io/a.cpp", "A::A(int a) : a_{a}, b_(1) {\n" + BODY * 79 + "}\n", "A::A has 81 lines"),
    ("src/io/a.cpp", "auto f = [](int) {\n" + BODY * 3 + "};\nvoid g() {\n" + BODY * 79 + "}\n", "g has 81"),
    ("src/io/a.cpp", "class A {\n public:\n  int f() const noexcept {\n" + BODY * 79 + "  }\n};\n", "f has 81"),
    ("src/io/a.cpp", "const int table[] = {\n" + "  1,\n" * 90 + "};\n", None),
    ("tests/io/a_test.cpp", "TEST(File, HoldsItsBytes) {\n" + BODY * 79 + "}\n", "81 lines"),
    ("src/io/a.cpp", "void f(int a, int b, int c, int d, int e, int g, int h) {}\n", "7 parameters"),
    ("src/io/a.cpp", "void f(int a, int b, int c, int d, int e, int g) {}\n", "warning"),
    ("src/model/kernels/a.h", "#pragma once\nvoid f(int a, int b, int c, int d, int e, int g, int h, int i) {}\n",
     "8 parameters"),
    ("src/io/a.cpp", "void f(std::map<int, int> a, F<void(int, int)> b, int c = g(1, 2), int d = 4) {}\n", None),
    ("src/io/a.cpp", "bool operator()(int a, int b, int c, int d, int e, int g, int h) {}\n", "7 parameters"),
    ("src/io/a.cpp", "using namespace std;\n", "using namespace"),
    ("src/io/a.cpp", "// using namespace std;\n", None),
    ("src/io/a.cpp", "#define A 1\n", "a macro"),
    ("src/io/a.cpp", "#ifdef A\n#endif\n", "conditional"),
    ("src/backends/a.cpp", "#ifdef A\n#endif\n", None),
    ("src/io/a.cpp", "auto* p = new Thing(1);\n", "new"),
    ("src/io/a.cpp", "int x = (int)y;\n", "C cast"),
    ("src/io/a.cpp", "int f(int) const;\n", None),
    ("src/io/a.cpp", 'std::cout << "a";\n', "must not print"),
    ("src/io/a.cpp", 'std::snprintf(b, 3, "a");\n', None),
    ("tools/ptq/a.cpp", 'std::cout << "a";\n', None),
    ("src/io/a.cpp", "int é;\n", "ASCII"),
    ("src/io/a.cpp", "int e;  // é\n", None),
    ("src/io/a.cpp", "int e; \n", "blanks"),
    ("src/io/a.cpp", "int e;", "newline at the end"),
    ("src/io/a.cpp", f"// {OPEN_END}: later\n", "issue number"),
    ("src/io/a.cpp", f"// {OPEN_END}(#12): later\n", None),
    ("docs/a.md", "see /ho" + "me/me/model\n", "absolute path"),
    ("docs/a.md", "see ~/work/model or ../work/x\n", None),
    ("scripts/a.sh", "curl https://py" + "pi.org/simple\n", "registry"),
    ("scripts/a.sh", "#" * 151 + "\n", "151 columns"),
    ("tests/io/a_test.cpp", "TEST(File, Works) {}\n", "does not say the law"),
    ("tests/io/a_test.cpp", "TEST(File, DISABLED_HoldsItsBytes) {}\n", "disabled"),
    ("include/ptq/io/a.h", "/// An a.\nstruct A {};\n", "#pragma once"),
    ("include/ptq/io/a.h", "#pragma once\nint f(int a);\n", "no /// comment: int f(int a)"),
    ("include/ptq/io/a.h", "#pragma once\n/// Does f.\nint f(int a);\n", None),
    ("include/ptq/io/a.h", "#pragma once\nstruct A {\n  int b = 1;\n};\n", "no /// comment: struct A"),
    ("include/ptq/io/a.h", "#pragma once\n/// An a.\nclass A {\n public:\n  void f(int b);\n};\n", "void f"),
    ("include/ptq/io/a.h", "#pragma once\n/// An a.\nclass A {\n  void f(int b);\n};\n", None),
    ("include/ptq/io/a.h", "#pragma once\n/// An a.\nclass A {\n public:\n  int size() const;\n"
     "  void g(int a) override;\n  explicit A(int a);\n\n private:\n  int h(int a);\n  int b_{0};\n};\n", None),
    ("include/ptq/io/a.h", "#pragma once\nnamespace ptq {\ntemplate <class T>\nT twice(T a) {\n  return a;\n}\n}\n",
     "no /// comment: template <class T> T twice"),
    ("include/ptq/io/a.h", "#pragma once\nnamespace detail {\nint f(int a);\n}\n", None),
]


def run(faults_of):
    """One line per case that `faults_of(path, text)` judges wrongly."""
    wrong = []
    for name, text, expected in CASES:
        found = faults_of(pathlib.PurePath(name), text)
        right = not found if expected is None else any(expected in fault for fault in found)
        if not right:
            wrong.append(f"self-test: {name} {text[:70]!r}: expected {expected!r}, found {found}")
    return wrong

"""A small reader of C++ sources for check_style.py: functions, their lengths and parameters, and the
declarations of a header with or without their comment.  No compiler: it relies on clang-format."""
import dataclasses
import re

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'',
                   re.DOTALL)
DIRECTIVE = re.compile(r'^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', re.MULTILINE)
SCOPE = re.compile(r'(?:^|[\s>])(?:namespace|class|struct|union|enum|extern)(?:\s|$)')
ACCESS = re.compile(r'\b(?:public|private|protected)\s*:(?!:)')


@dataclasses.dataclass
class Function:
    name: str
    line: int
    lines: int
    parameters: int


@dataclasses.dataclass
class Declaration:
    text: str
    line: int
    documented: bool
    in_class: bool


def blank(text, keep_directives=False):
    """`text` with comments and strings, and by default directives, overwritten by spaces."""
    def spaces(found):
        return re.sub(r'[^\n]', ' ', found.group(0))

    def hide(found):
        # A number such as 1'000 is no character literal.
        before = text[found.start() - 1] if found.start() else ''
        if found.group(0)[0] == "'" and before.isalnum():
            return found.group(0)
        return spaces(found)

    text = TOKEN.sub(hide, text)
    return text if keep_directives else DIRECTIVE.sub(spaces, text)


def split_parameters(head):
    """The number of parameters of a function head; 0 without a parameter list."""
    start = parameter_list(head)
    if start < 0:
        return 0
    depth, count, content = 0, 1, False
    for char in head[start + 1:]:
        if char in '(<[{':
            depth += 1
        elif char in ')>]}':
            if depth == 0:
                break
            depth -= 1
        elif char == ',' and depth == 0:
            count += 1
        content = content or not char.isspace()
    return count if content else 0


def parameter_list(head):
    """Where the parameter list of a function head opens: its first round bracket outside <…>."""
    depth = 0
    for index, char in enumerate(head):
        if char == '<':
            depth += 1
        elif char == '>' and head[index - 1] != '-':
            depth -= 1
        elif char == '(' and depth <= 0:
            after = head[index:]
            # operator()(…): the name's own brackets come first.
            if head[:index].rstrip().endswith('operator') and after.startswith('()'):
                return head.find('(', index + 2)
            return index
    return -1


def is_function(head, after):
    """Whether a `{` behind `head` opens a function's body; `after`: the text behind its `}`."""
    if parameter_list(head) < 0 or SCOPE.search(head.split('(')[0]) or head.endswith(('=', ',', '(')):
        return False
    if re.match(r'\s*(?:if|for|while|switch|catch|return|do|else)\b', head):
        return False
    initializers = re.search(r'\)[^()]*[^:]:[^:]', head)
    if initializers and re.search(r'[\w>]$', head):
        # A member initialized with braces, not yet the body.
        return not re.match(r'\s*[,{]', after)
    return bool(re.search(r'(?:\)|\bconst|\bnoexcept|\boverride|\bfinal|&|[\w>*]|\})$', head))


def closing(code, start):
    """The index of the `}` that closes the `{` at `start`."""
    depth = 0
    for index in range(start, len(code)):
        if code[index] == '{':
            depth += 1
        elif code[index] == '}':
            depth -= 1
            if depth == 0:
                return index
    return len(code)


def functions(text):
    """The functions that `text` defines; lambdas belong to the function around them."""
    code, found, index, start = blank(text), [], 0, 0
    while index < len(code):
        char = code[index]
        if char in ';}':
            start = index + 1
        elif char == '{':
            label = ACCESS.match(code[start:index].lstrip())
            if label:
                start = code.index(label.group(0), start) + label.end()
            head = code[start:index].strip()
            end = closing(code, index)
            if is_function(head, code[end + 1:end + 40]):
                first = start + len(code[start:]) - len(code[start:].lstrip())
                line = code.count('\n', 0, first) + 1
                name = head[:parameter_list(head)].split()[-1]
                if name in ('TEST', 'TEST_F', 'TEST_P', 'TYPED_TEST'):
                    name = re.sub(r'\s', '', head)
                last = code.count('\n', 0, end) + 1
                found.append(Function(name, line, last - line + 1, split_parameters(head)))
                index, start = end, end + 1
            elif not SCOPE.search(head.split('(')[0]):
                index = end  # an initializer: the statement goes on
            else:
                start = index + 1
        index += 1
    return found


def declarations(text):
    """The declarations of a header at namespace level and in public parts of its classes."""
    code, lines = blank(text), text.split('\n')
    found, index, start = [], 0, 0
    scopes = []  # (end of the scope, is a class, is public)

    def hidden():
        return any(not public for _, _, public in scopes)

    def declare(statement_start, statement_end, suffix=''):
        statement = code[statement_start:statement_end]
        first = statement_start + len(statement) - len(statement.lstrip())
        words = ' '.join(statement.split())
        if not words or hidden():
            return
        line = code.count('\n', 0, first)
        last = code.count('\n', 0, statement_end)
        documented = (line > 0 and lines[line - 1].strip().startswith('///')) or any(
            '///' in lines[number] for number in range(line, last + 1))
        found.append(Declaration(words + suffix, line + 1, documented, bool(scopes and scopes[-1][1])))

    while index < len(code):
        char = code[index]
        while scopes and index >= scopes[-1][0]:
            scopes.pop()
            start = index + 1
        access = ACCESS.match(code, index) if char == 'p' and scopes else None
        if access and scopes[-1][1]:
            scopes[-1] = (scopes[-1][0], True, access.group(0).startswith('public'))
            index = start = access.end()
            continue
        if char == ';':
            declare(start, index)
            start = index + 1
        elif char == '{':
            head, end = code[start:index].strip(), closing(code, index)
            if SCOPE.search(head.split('(')[0]):
                kind = SCOPE.search(head.split('(')[0]).group(0).split()[0].strip('>')
                if kind not in ('namespace', 'extern'):
                    declare(start, index, ' {')
                anonymous = kind == 'namespace' and (head == 'namespace' or head.endswith('detail'))
                listed = kind != 'enum' and not anonymous
                scopes.append((end, kind in ('class', 'struct', 'union'), listed and kind != 'class'))
                start = index + 1
            elif is_function(head, code[end + 1:end + 40]):
                declare(start, index)
                index, start = end, end + 1
            else:
                index = end
        index += 1
    return found

"""Jupyter's own kernel tests (jupyter_kernel_test), with every capability that they can test switched on.

Usage: JUPYTER_PATH=…/share/jupyter python conformance.py -v
"""

import unittest

import jupyter_kernel_test


class TypeScriptKernelTests(jupyter_kernel_test.KernelTests):
    kernel_name = "lm-transparency"
    language_name = "typescript"
    file_extension = ".ts"
    code_hello_world = "console.log('hello, world')"
    code_stderr = "console.error('oops')"
    completion_samples = [
        {"text": "Math.hyp", "matches": {"hypot"}},
        {"text": "process.hrti", "matches": {"hrtime"}},
    ]
    complete_code_samples = ["1", "console.log('hello, world')", "function f(x: number) {\n  return x * 2;\n}\n\n", "await fetch('x')"]
    incomplete_code_samples = ["function f(x: number) {", "console.log(`hello", "const a = [1,", "/* begun"]
    invalid_code_samples = ["import = 7", "const 5 = x;", "let a = ))"]
    code_page_something = "Math.max?"
    code_generate_error = "throw new Error('no')"
    code_execute_result = [
        {"code": "1 + 2 + 3", "result": "6"},
        {"code": "[1, 2, 3].map((n) => n * n)", "result": "[ 1, 4, 9 ]"},
        {"code": "Promise.resolve('done')", "result": "'done'"},
        {"code": "({ [Symbol.for('Jupyter.display')]: () => ({ 'text/html': '<b>x</b>' }) })", "mime": "text/html", "result": "<b>x</b>"},
        {"code": "[...'abc'].join('-')", "result": "'a-b-c'"},
        {"code": "[...'abd'].join('-')", "result": "'a-b-d'"},
    ]
    code_display_data = [
        {"code": "import { display } from 'lm-transparency/ipywidgets';\nawait display({ [Symbol.for('Jupyter.display')]: () => ({ 'image/png': new Uint8Array([1]) }) })", "mime": "image/png"},
        {"code": "import * as tslab from 'tslab';\ntslab.display.html('<i>x</i>')", "mime": "text/html"},
    ]
    code_history_pattern = "1 [+] 2 ?*"
    code_clear_output = "import { commHost } from 'lm-transparency/ipywidgets';\ncommHost().clearOutput()"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "Math.max"

class WelcomeTests(jupyter_kernel_test.IopubWelcomeTests):
    kernel_name = "lm-transparency"
    support_iopub_welcome = True


if __name__ == "__main__":
    unittest.main()

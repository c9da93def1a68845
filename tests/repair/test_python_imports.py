"""Where a new import goes: import sorters have nothing to say of it."""

from __future__ import annotations

import pytest

from coderls.repair.candidate import apply_edits
from coderls.repair.python_imports import import_edit


@pytest.mark.parametrize(
    ("text", "with_json"),
    [
        ("def f():\n    return 1\n", "import json\n\n\ndef f():\n    return 1\n"),
        ("\n@a\nclass B: ...\n", "import json\n\n\n@a\nclass B: ...\n"),
        ("default = 1\n", "import json\n\ndefault = 1\n"),
        ("\n\nx = 1\n", "import json\n\nx = 1\n"),
        ("# about f\ndef f(): ...\n", "import json\n\n\n# about f\ndef f(): ...\n"),
        ("# licence\n\nx = 1\n", "# licence\n\nimport json\n\nx = 1\n"),
        ("#!/usr/bin/env python\nx = 1\n", "#!/usr/bin/env python\n\nimport json\n\nx = 1\n"),
        ('"""Doc."""\n\n\ndef f(): ...\n', '"""Doc."""\n\nimport json\n\n\ndef f(): ...\n'),
        ('"""Doc."""', '"""Doc."""\n\nimport json\n'),
        (
            "from __future__ import annotations\n\nx = 1\n",
            "from __future__ import annotations\n\nimport json\n\nx = 1\n",
        ),
        ("import abc\nimport zlib\nfrom a import b\n", "import abc\nimport json\nimport zlib\nfrom a import b\n"),
        ("from os import (\n    path,\n)\n", "import json\nfrom os import (\n    path,\n)\n"),
        ("import numpy\n", "import json\n\nimport numpy\n"),
        ("from . import a\n", "import json\n\nfrom . import a\n"),
        ("import abc\n\nimport numpy\n", "import abc\nimport json\n\nimport numpy\n"),
        ("def f():\r\n    pass\r\n", "import json\r\n\r\n\r\ndef f():\r\n    pass\r\n"),
        ("import abc\r\nx = 1\r\n", "import abc\r\nimport json\r\nx = 1\r\n"),
        ("", "import json\n"),
    ],
)
def test_where_a_module_goes(text: str, with_json: str) -> None:
    assert apply_edits(text, [import_edit(text, "json")]) == with_json


@pytest.mark.parametrize(
    ("text", "with_it"),
    [
        ("def f(): ...\n", "from collections import defaultdict\n\n\ndef f(): ...\n"),
        ("import os\n", "import os\nfrom collections import defaultdict\n"),
        ("from collections import Counter\n", "from collections import Counter, defaultdict\n"),
        ("from collections import deque\n", "from collections import defaultdict, deque\n"),
        (
            "from collections import Counter as C\n",
            "from collections import Counter as C\nfrom collections import defaultdict\n",
        ),
        # Imports of several lines, and what only looks like one.
        ("from abc import (\n    ABC,\n)\n", "from abc import (\n    ABC,\n)\nfrom collections import defaultdict\n"),
        ("import a, \\\n    b\n", "from collections import defaultdict\n\nimport a, \\\n    b\n"),
        ("import re, \\\n    os\n", "import re, \\\n    os\nfrom collections import defaultdict\n"),
        ("import re  # (why\nx = 1\n", "import re  # (why\nfrom collections import defaultdict\nx = 1\n"),
        (
            '"""Doc.\n\nimport it\nfrom the top.\n"""\n\nimport re\n',
            '"""Doc.\n\nimport it\nfrom the top.\n"""\n\nimport re\nfrom collections import defaultdict\n',
        ),
        ("x = '\\d'\nfrom the top\n", "from collections import defaultdict\n\nx = '\\d'\nfrom the top\n"),
    ],
)
def test_where_a_member_of_a_module_goes(text: str, with_it: str) -> None:
    assert apply_edits(text, [import_edit(text, "collections", "defaultdict")]) == with_it

"""Awkward strings, dialogues and templates for the goldens of core/text (make_text.py)."""

import random

SCRIPTS = [
    "The quick brown fox jumps over the lazy dog.",
    "Größe, Übermaß, ſtraße, ﬁn, Æther, naïve café, İstanbul, ǅ",
    "Zażółć gęślą jaźń; příliš žluťoučký kůň; tên tôi là Nguyễn",
    "Съешь же ещё этих мягких французских булок, да выпей чаю",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. Ὀδυσσεύς ᾧ",
    "敏捷的棕色狐狸跳过了懒狗。「你好」,世界!",
    "色は匂へど散りぬるを、カタカナ・ﾊﾝｶｸ ｶﾅ、ヷヸ",
    "다람쥐 헌 쳇바퀴에 타고파. 한글 가",
    "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر ومغلف بجلد أزرق ۱۲۳ ١٢٣",
    "דג סקרן שט בים מאוכזב ולפתע מצא חברה שָׁלוֹם",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का क्ष त्र ज्ञ १२३",
    "আমি বাংলায় গান গাই, ক্ষ; நான் தமிழ் பேசுகிறேன்; నేను తెలుగు",
    "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน",
    "မြန်မာစာ ខ្មែរ ລາວ བོད་སྐད་ ᠮᠣᠩᠭᠣᠯ",
    "ქართული ენა, Հայերեն, አማርኛ, ᏣᎳᎩ, ᐃᓄᒃᑎᑐᑦ, ꦗꦮ",
    "𐍅𐌿𐌻𐍆𐌹𐌻𐌰 𒀭𒂗𒆤 𓀀𓂀 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙𝟚 𠜎𠜱",
    "ⅠⅡⅢ ① ② ½ ¼ ² ³ ₀ ₁ ㊿ 〇 一二三 ٣٫١٤ Ⅷ",
]
EMOJI = [
    "😀", "👩‍👩‍👧‍👦", "👍🏽", "🏳️‍🌈", "🇩🇪🇫🇷🇯🇵", "❤️", "1️⃣#️⃣*️⃣", "🧑🏿‍🚀 to the 🌕!", "👨‍❤️‍💋‍👨", "😀😀😀 x 😀", "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "text🙂text🙂 🙂text", "☺☹☠ ☕️ ♿", "🫠🫡🪿", "a\u200db\u200cc", "\u200b\u200b zero width \ufeff bom",
]
COMBINING = [
    "e\u0301 vs é", "a\u0308\u0323", "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘", "\u0301 leading", "x\u20dd y\u20e3", "각 vs 각",
    "Å Å Å", "\u202eright to left\u202c", "\u2067ab\u2069 \u200f\u200e", "ﷺ ﷽", "o\u0302\u0301 ộ",
]
SPACES = [
    "", " ", "  ", "   ", "\n", "\n\n", "\n\n\n\n\n", "\t", "\t\t\t", " \n ", "\r\n", "\r\n\r\n", "\r", " \t \n \r\n x", "x ", "x  ", "x   y",
    " x", "  x", "   x  ", "x\n", "x\n\n", "x \n", "x \n\n y", "a\u00a0b", "\u00a0", "\u3000全角\u3000", "a\u2003b\u2009c\u202fd",
    "a\u0085b", "\u2028\u2029", "a\u180eb", "\x0b\x0c", "\x1c\x1d\x1e\x1f", " " * 17, " " * 64 + "x", "\n" * 33, "\t" * 9 + "x", "x" + " " * 40,
    "    def f(x):\n        return x\n", "trailing   \nlines  \n", "\u1680ogham\u205f", " \u00a0 \u3000 ",
]
CONTROLS = [
    "\x00", "a\x00b", "\x01\x02\x03\x04\x05", "\x07bell\x08\x08", "\x1b[31mred\x1b[0m", "\x7f", "".join(map(chr, range(32))),
    "".join(map(chr, range(0x80, 0xa0))), "\ufffd", "\ufffe\uffff", "\U0010ffff", "\ue000\uf8ff", "\U000e0001", "a\ufffdb\ufffd",
]
CODE = [
    "for (int i = 0; i < n; ++i) { sum += a[i] * b[i]; }", "#include <vector>\n\nint main() {\n\treturn 0;\n}\n",
    "def f(x: int) -> str:\n    \"\"\"doc\"\"\"\n    return f'{x!r}'  # comment", "SELECT * FROM t WHERE a='b' AND c>=1.5e-10;",
    "<html><body class=\"x\">&amp;&nbsp;</body></html>", "{\"a\": [1, 2, {\"b\": null}], \"c\": true}", "x = 0xDEADBEEF | 0b1010 ^ 0o777;",
    "git commit -m \"it's done\" && rm -rf ./*", "λx.λy.x y ≡ K; ∀ε>0 ∃δ>0: |x−a|<δ ⇒ |f(x)−L|<ε", "\\frac{a}{b} \\alpha_{i,j}^{2}",
    "https://example.com/a/b?c=d&e=%20f#g", "user.name+tag@example.co.uk", "C:\\Windows\\System32\\", "/usr/local/bin:/usr/bin",
    "!!! ??? ... ,,, ;;; --- ___ === +++ *** ### $$$ %%% ^^^ &&& ~~~ ```", "(((())))[[[]]]{{{}}}<<<>>>", "a.b,c;d:e!f?g-h_i/j\\k|l",
    "snake_case camelCase PascalCase kebab-case SCREAMING_CASE", "I'm you're he'll she'd we've it's don't I'M YOU'RE 'tis ' s 's",
    "“curly” ‘quotes’ – — … • ′ ″ «guillemets»", "it’s l’été", "{% if x %}{{ y }}{# z #}{% endif %}",
]
DIGITS = [
    "0", "1234567890", "3.14159", "1,000,000.00", "1e-5", "2024-02-29T23:59:59Z", "192.168.0.1", "+49 (0)30 1234-567", "12 34 56", " 7", "  42  ",
    "a1b2c3", "1st 2nd 3rd 4th", "x²+y³", "٠١٢٣", "１２３", "ⅫⅩ", "007", "-1", "1/2", "50%", "$19.99", "#1", "1\n2\n3", "x12345y",
]
SPECIALS = [
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_start|>user\nhi<|im_end|>\n", " <|im_end|> ", "a<|im_end|>b", "<|im_start|><|im_end|>",
    "<|im_start|", "|im_start|>", "< |im_end|>", "<|im_end|>\n\n", "<<|im_end|>>", "<|IM_END|>", "<repo_name>x<file_sep>y", "<reponame>", "<filename>a.py",
    "<gh_stars>10-100", "<issue_start><issue_comment><issue_closed>", "<jupyter_start><jupyter_text>t<jupyter_code>c<jupyter_output>o",
    "<jupyter_script>", "<empty_output>", "<s></s><unk><pad>[INST]<0x0A>", "<|im_start|>system<|im_start|>", "\u2581under\u2581", "Ġthe Ċ ĉ Âł",
    "<|endoftext|>" * 5, "x<|im_end|>" * 3, "<|im_end|>é<|im_end|>日<|im_end|> ",
]
WORDS = ["hello", "world", " the", "Antidisestablishmentarianism", "supercalifragilisticexpialidocious", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "ABABABABABABAB", "qwrtpsdfghjklzxcvbnm", "A", "a", "é", "日", "😀", "Hello, World!", "HELLO", "hElLo", "the The THE tHe", "Ünïcödé"]
RANGES = [(0x20, 0x7e), (0xa0, 0x24f), (0x370, 0x5ff), (0x600, 0x6ff), (0x900, 0xdff), (0xe00, 0xeff), (0x1e00, 0x1fff), (0x2000, 0x206f),
          (0x2190, 0x2bff), (0x3040, 0x30ff), (0x4e00, 0x9fff), (0xac00, 0xd7a3), (0x1f300, 0x1faff), (0x10000, 0x107ff), (0x300, 0x36f)]


def mixtures(count):
    """Random texts over several scripts at once; the same on every run."""
    rng = random.Random(20240229)
    pieces = SCRIPTS + EMOJI + COMBINING + SPACES + CODE + DIGITS + WORDS + SPECIALS[:8]
    out = []
    for i in range(count):
        if i % 2:
            out.append("".join(rng.choice(pieces)[:rng.randint(1, 12)] for _ in range(rng.randint(2, 8))))
        else:
            low_high = [rng.choice(RANGES) for _ in range(rng.randint(1, 3))]
            out.append("".join(chr(rng.randint(*rng.choice(low_high))) for _ in range(rng.randint(1, 40))))
    return out


def strings():
    return SCRIPTS + EMOJI + COMBINING + SPACES + CONTROLS + CODE + DIGITS + SPECIALS + WORDS + mixtures(120)


# [text, times]: long inputs, of which the golden keeps a hash of the ids.
LONG = [["a", 20000], [" ", 20000], ["\n", 5000], ["ab", 10000], ["x" * 300 + " ", 100], ["日本語", 3000], ["😀", 3000], ["1234567890", 2000],
        ["The quick brown fox. ", 5000], ["<|im_end|>", 2000], [" \n\t", 4000], ["!?", 8000], ["e\u0301", 5000], ["Lorem ipsum dolor\n\n", 3000]]


def turn(role, content):
    return {"role": role, "content": content}


def dialogues():
    """(messages, add_generation_prompt)."""
    out = []
    contents = ["Hi", "", " ", "\n", "  padded  ", "two\nlines\n", "<|im_end|>", "<|im_start|>system\nobey<|im_end|>", "{{ 7*7 }}", "{% raw %}", "'\"\\",
                "é日😀", "\x00\x1f", "a" * 500, "&lt;&amp;<b>", "\u2028", "👩‍👩‍👧‍👦", "مرحبا", "\\n", "None", "[1, 2]"]
    for i, content in enumerate(contents):
        out.append(([turn("user", content)], i % 2 == 0))
        out.append(([turn("system", content), turn("user", "q")], True))
        out.append(([turn("user", "q"), turn("assistant", content), turn("user", content)], i % 3 != 0))
    out += [
        ([], True), ([], False), ([turn("system", "only")], False), ([turn("assistant", "first")], True),
        ([turn("user", "a"), turn("user", "b"), turn("assistant", "c"), turn("assistant", "d")], True),
        ([turn("user", "a"), turn("system", "late")], True), ([turn("tool", "x"), turn("", "")], True), ([turn("USER", "x")], False),
        ([turn("user" if i % 2 == 0 else "assistant", f"turn {i}") for i in range(41)], True),
    ]
    return out


CHATML = """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are a helpful assistant.<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}"""

QWEN = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
{%- else %}
    {%- if messages and messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step and message.role == "user" and not(message.content.startswith('<tool>') and message.content.endswith('</tool>')) %}
        {%- set ns.multi_step = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {%- set content = message.content %}
        {%- if '</think>' in content %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- message.content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""

LLAMA3 = """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{#- The system message goes first. #}
{%- if messages and messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Cutting Knowledge Date: December 2023\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

STRICT = """{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must \
alternate user/assistant/user/assistant/...') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] \
== 'assistant' %}{{ message['content'] + eos_token}}{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"""

# As Qwen2-VL, SmolVLM and LLaVA place images.
QWEN2_VL = """{% set image_count = namespace(value=0) %}{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system
You are a helpful assistant.<|im_end|>
{% endif %}<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}<|im_end|>
{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}{% set image_count.value = \
image_count.value + 1 %}{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}<|vision_start|><|image_pad|><|vision_end|>{% elif 'text' in content %}\
{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

SMOLVLM = """<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}\
{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>
{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"""

LLAVA = """{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': '}}{% endif %}{# Render all images first #}{% for content in \
message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}{# Render all text next #}{% if message['role'] != 'assistant' %}{% for content in \
message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] + ' '}}{% endfor %}{% else %}{% for content in message['content'] | selectattr('type', \
'equalto', 'text') %}{% generation %}{{ content['text'] + ' '}}{% endgeneration %}{% endfor %}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"""

# Small templates, each for a corner of Jinja2 or Python that chat templates use.
CORNERS = [
    "{% for m in messages %}{% if loop.index > 2 %}{% break %}{% endif %}{{ loop.index }}{{ m.role }};{% endfor %}",
    "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}{{ m.content }}|{% endfor %}",
    "{% for m in messages %}\n  {% if m.role == 'user' %}\n  U\n  {% endif %}\n{% endfor %}\nend\n",
    "a\n{# comment #}\nb\n   {# indented #}\nc\n{{ '' }}\nd\n",
    "{%+ if true %}x{% endif +%}\n y",
    "{{ messages | tojson }}", "{{ messages | tojson(indent=2) }}", "{{ messages|tojson(sort_keys=true, separators=(',', ':')) }}", "{{ messages }}",
    "{{ {'a': [1, 2.0, 1e16, 1e-7, true, none, \"it's\"], 'b': {}} }} {{ {'a': [1, 2.5, true, none], 'b': {}, 'c': []}|tojson }}",
    "{{ {'a': [], 'b': {'c': [1, [2]]}}|tojson(indent=4) }}",
    "{{ 1 }} {{ 1.0 }} {{ 0.1 + 0.2 }} {{ 1e100 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 / 2 }} {{ 7 % 3 }} {{ 2 ** 10 }} {{ true }} {{ none }} {{ not true }}",
    "{{ 'x' ~ 1 ~ true ~ none ~ 1.5 }} {{ 'ab' * 3 }} {{ [1] + [2, 3] }} {{ (1, 'a') }} {{ ('x',) }}",
    "{{ messages[0].content.strip() }}|{{ messages[0].content.upper().lower().title() }}|{{ messages[0].content.split() }}|{{ messages[0].content.split('a', 1) }}",
    "{{ messages[0].content|trim|upper|replace('A', 'b')|length }}|{{ messages[0].content[1:3] }}|{{ messages[0].content[::-1] }}|{{ messages[0].content[-1:] }}",
    "{{ 'a,b,,c'.split(',')|join('-') }} {{ ' x '.lstrip() }}| {{ 'xxyxx'.strip('x') }} {{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('c', 'd')) }} {{ 'abc'.find('c') }}",
    "{{ 'abc'.replace('b', 'x') }} {{ 'aaa'.replace('a', 'b', 2) }} {{ 'abcabc'.count('bc') }} {{ 'hello world'.capitalize() }} {{ ', '.join(['a', 'b']) }}",
    "{{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.py'.removesuffix('.py') }} {{ '12'.isdigit() }} {{ 'a b'.isalpha() }} {{ 'l1\\nl2'.splitlines() }}",
    "{% set ns = namespace(n=0, last='') %}{% for m in messages %}{% set ns.n = ns.n + m.content|length %}{% set ns.last = m.role %}{% endfor %}{{ ns.n }} {{ ns.last }}",
    "{% set x = 1 %}{% for m in messages %}{% set x = x + 1 %}{% endfor %}{{ x }}",
    "{% macro turn(m, end='!') %}[{{ m.role }}:{{ m.content }}{{ end }}]{% endmacro %}{% for m in messages %}{{ turn(m) }}{{ turn(m, end='?') }}{% endfor %}",
    "{% set block %}<{{ messages|length }}>{% endset %}{{ block }}{{ block }}", "{% filter upper %}abc {{ messages|length }}{% endfilter %}",
    "{{ messages|map(attribute='role')|join(',') }} {{ messages|selectattr('role', 'equalto', 'user')|list|length }} {{ messages|rejectattr('role', 'equalto', 'user')|map(attribute='content')|list }}",
    "{{ messages[0].get('name', 'anon') }} {{ messages[0].keys()|list }} {{ messages[0].items()|list }} {{ 'name' in messages[0] }} {{ messages[0].name is defined }}",
    "{% for k, v in messages[0].items() %}{{ k }}={{ v }};{% endfor %}{% for k in messages[0] %}{{ k }} {% endfor %}",
    "{{ tools is none }} {{ tools is defined }} {{ documents is none }} {{ undefined_thing is defined }} [{{ undefined_thing }}] {{ undefined_thing|default('d') }}",
    "{{ messages[0].missing.deeper }}", "{{ undefined_thing.x }}", "{{ messages[99].role }}", "{{ 1 / 0 }}", "{{ 'a' + 1 }}", "{{ undefined_function() }}",
    "{{ messages|first }} {{ messages|last }} {{ messages[-1].role }} {{ messages[1:]|length }} {{ messages[:-1]|length }}",
    "{% if messages[-1].role == 'user' and add_generation_prompt %}A{% elif not add_generation_prompt %}B{% else %}C{% endif %}",
    "{% for m in messages if m.role == 'user' %}{{ loop.index }}/{{ loop.length }}{{ '' if loop.last else ',' }}{% else %}none{% endfor %}",
    "{% for m in messages %}{{ loop.previtem.role if loop.previtem is defined else '-' }}>{{ m.role }}>{{ loop.nextitem.role if loop.nextitem is defined else '-' }} {% endfor %}",
    "{{ 'yes' if messages is iterable and messages is not string and messages is not mapping else 'no' }} {{ 3 is odd }} {{ 4 is even }} {{ 4 is divisibleby 2 }}",
    "{{ range(3)|list }} {{ range(2, 8, 3)|list }} {% for i in range(3) %}{{ i }}{% endfor %} {{ [3, 1, 2]|sort|join }} {{ [1, 2, 3]|sum }} {{ [1, 2]|max }}",
    "{{ strftime_now('%Y-%m-%d %H:%M:%S %A %B %d %b %j %p %I %%') }}", "{{ 'line1\nline2\n\nline3'|indent(2) }}|{{ 'a\nb'|indent(width=3, first=true) }}",
    "{%- generation %}{{ messages|length }}{% endgeneration -%} x", "{% raw %}{{ not rendered }}{% endraw %}", "{{ '{{' }} {{ '%}' }} {{ \"\\\"\" }} {{ '\\t\\n|' }}",
    "{{ bos_token }}{{ eos_token }}{{ pad_token }}{{ messages[0].content|e }} {{ '<b>'|safe }} {{ 'ab'|first }}{{ 'ab'|last }} {{ 'abc'|list }}",
    "{{ (messages|length) * 2 - 1 }} {{ messages|length > 1 and messages[1].role or 'x' }} {{ 1 < 2 < 3 }} {{ 'a' < 'b' }} {{ [1, 2] == [1, 2] }} {{ 2 in [1, 2] }} {{ 'b' not in 'abc' }}",
    "{{ messages|length|string + 'x' }} {{ '5'|int + 1 }} {{ '2.5'|float }} {{ 3.7|int }} {{ 2.567|round(1) }} {{ -3|abs }} {{ [1, [2, 3]]|string }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% with c = 3 %}{{ c }}{% endwith %}{{ c is defined }}", "{{ dict(a=1, b='x') }} {{ {'b': 1, 'a': 2}|dictsort }} {{ {'a': 1}.get('z') }}",
    "{{ messages|map('tojson')|join(';') }}", "{{ ['b', 'a', 'b']|unique|list }} {{ [1, 2, 3]|reverse|list }} {{ 'abc'|reverse }} {{ [3, 1]|sort(reverse=true) }}",
    "{{ raise_exception('stop: ' ~ messages|length) }}", "{{ messages[0]['content'] if messages[0]['content'] is string else messages[0]['content'][0]['text'] }}",
]

TEMPLATE_DIALOGUES = [
    ([turn("user", "Hi there, a cat!")], True),
    ([turn("system", " Be brief.\n"), turn("user", "  a\tb  "), turn("assistant", "<think>\nhm\n</think>\n\nok"), turn("user", "it's \"q\" <b>&</b> é😀\\")], True),
    ([turn("user", "u"), turn("assistant", "A"), turn("tool", "r1"), turn("tool", "r2"), turn("user", "x\x1f")], False),
    ([turn("user", "one"), turn("user", "two")], False),
]

IMAGE = {"type": "image"}


def parts(role, *content):
    return {"role": role, "content": [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]}


VISION_DIALOGUES = [
    ([parts("user", IMAGE, "what?")], True),
    ([parts("system", "Be brief."), parts("user", "before ", IMAGE, " between ", IMAGE, "\tafter \"q\" é\n")], True),
    ([parts("user", "no image")], True),
    ([parts("user", IMAGE, IMAGE, "same?"), parts("assistant", "no"), parts("user", "why?")], False),
]

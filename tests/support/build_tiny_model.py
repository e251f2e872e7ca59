"""Makes a model that a CPU serves at once: Qwen3's shape, 100 thousand random weights, no download.

    .venv-vllm/bin/python tests/support/build_tiny_model.py FOLDER

What it says is noise; a test that wants a certain text forces it with `structured_outputs`. A token
is a byte, so that counts can be foretold, beside those few that Qwen3's parsers look for.
"""

from __future__ import annotations

import sys

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

LONGEST = 32768
PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
# as Qwen3 has them: one token each, and yet a part of the text, where parsers find them
TAGS = ["think", "tool_call", "tool_response"]

CHAT_TEMPLATE = """\
{%- macro turn(role) -%}
<|im_start|>{{ role }}
{{ caller() }}<|im_end|>
{% endmacro -%}
{%- if tools -%}
    {%- call turn('system') -%}
        {%- for tool in tools %}{{ tool | tojson }}{% endfor -%}
    {%- endcall -%}
{%- endif -%}
{%- for message in messages -%}
    {%- call turn(message.role) -%}
        {{ message.content or '' }}
        {%- for called in message.tool_calls or [] -%}
            <tool_call>{{ called.function | tojson }}</tool_call>
        {%- endfor -%}
    {%- endcall -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% if enable_thinking is false %}<think>

</think>

{% endif -%}
{%- endif -%}
"""


def byte_tokenizer() -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytewise = Tokenizer(models.BPE({byte: index for index, byte in enumerate(alphabet)}, []))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    bytewise.add_special_tokens([PAD, START, END])
    tags = [tag for name in TAGS for tag in (f"<{name}>", f"</{name}>")]
    bytewise.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in tags])
    return PreTrainedTokenizerFast(
        tokenizer_object=bytewise,
        pad_token=PAD,
        eos_token=END,
        model_max_length=LONGEST,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def random_model(tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    torch.manual_seed(0)
    shape = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=64,
        max_position_embeddings=LONGEST,
        tie_word_embeddings=True,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        architectures=["Qwen3ForCausalLM"],
    )
    return Qwen3ForCausalLM(shape).to(torch.bfloat16)


def main(folder: str) -> None:
    tokenizer = byte_tokenizer()
    tokenizer.save_pretrained(folder)
    random_model(tokenizer).save_pretrained(folder)


if __name__ == "__main__":
    main(sys.argv[1])

"""Builds the tokenizer once, over the words of the whole world, so that later objects need no new one."""

import argparse
import json
from pathlib import Path

from resources.starter.recipe import words

LENGTH = 32  # tokens of a prompt, with start and end
START, END = "<|startoftext|>", "<|endoftext|>"


def build(folder: Path) -> int:
    """Writes a CLIPTokenizer folder (byte-level BPE, each known word one token) and returns its size.

    BPE is trained on each word of the world until nothing is left to merge, so 'penguin' is one token, while any other
    text is still covered by pieces of known words and single bytes.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=100_000, min_frequency=1, initial_alphabet=alphabet, end_of_word_suffix="</w>", special_tokens=[], show_progress=False
    )
    learner.train_from_iterator(words.every_word(), trainer)
    merges = [(left, right) for left, right in json.loads(learner.to_str())["model"]["merges"]]
    vocabulary = dict.fromkeys([*alphabet, *(letter + "</w>" for letter in alphabet), *(left + right for left, right in merges)])
    index = {token: k for k, token in enumerate([*vocabulary, START, END])}
    folder.mkdir(parents=True, exist_ok=True)
    CLIPTokenizer(vocab=index, merges=merges, model_max_length=LENGTH).save_pretrained(folder)
    # transformers 5 saves tokenizer.json alone; other programs read these two.
    (folder / "vocab.json").write_text(json.dumps(index, ensure_ascii=False), "utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges), "utf-8")
    return len(index)


def check(folder: Path) -> list[str]:
    """The known words that the saved tokenizer does not read as one token."""
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    return [word for word in words.every_word() if len(tokenizer.tokenize(word)) != 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the tokenizer goes")
    folder = parser.parse_args().folder
    print(f"{build(folder)} tokens; words in pieces: {check(folder) or 'none'}")


if __name__ == "__main__":
    main()

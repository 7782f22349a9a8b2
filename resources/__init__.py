"""Files that ship with the program: icons, fonts, themes, examples, model configurations, tokenizers and the starter model."""

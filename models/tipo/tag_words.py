"""The categories of a tag, and the words that belong to one of them whatever any table says."""

# In order of precedence: a word of two categories belongs to the first.
CATEGORIES = ("special", "quality", "rating", "meta", "characters", "copyrights", "artist", "general")

SPECIAL = (
    *(f"1{who}" for who in ("girl", "boy", "other")),
    *(f"{n}{who}s" for who in ("girl", "boy", "other") for n in ("2", "3", "4", "5", "6+", "multiple ")),
    "male focus",
)

# The words TIPO knows.
QUALITY = (
    *("masterpiece", "best quality", "great quality", "good quality", "normal quality"),
    *("low quality", "worse quality", "very aesthetic", "aesthetic", "displeasing", "very displeasing"),
    *("newest", "recent", "mid", "early", "old"),
    *("score_9", "score_8_up", "score_7_up", "score_6_up", "score_5_up", "score_4_up"),
    *("source_anime", "source_cartoon", "source_furry", "source_pony"),
)

# Words that other families of checkpoints use: they are kept in the prompt, the language model never sees
# them.
QUALITY_ELSEWHERE = (
    *("amazing quality", "high quality", "highest quality", "top quality", "incredible quality"),
    *("average quality", "medium quality", "below average quality", "bad quality", "worst quality"),
    *("very awa", "worst aesthetic", "best aesthetic", "oldest", "late"),
    *("score_9_up", *(f"score_{n}" for n in range(1, 9)), "score_3_up", "score_2_up", "score_1_up"),
    *(f"{word} score" for word in ("high", "great", "good", "average", "bad", "low")),
)

RATING = ("safe", "general", "sfw", "sensitive", "nsfw", "explicit")
# Ratings as other families write them: rating:general, rating_explicit, rating:q. What a model calls them:
# published/tipo.py.
RATING_PREFIXES = ("", "rating:", "rating: ", "rating ")
RATING_ELSEWHERE = {"questionable": "nsfw"}
RATING_LETTERS = {"g": "general", "s": "sensitive", "q": "nsfw", "e": "explicit"}

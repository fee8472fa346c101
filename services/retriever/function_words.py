"""Words that say nothing about what a question is about; left out of questions, never of passages.

In Korean these are pairs of characters, as the tokeniser makes them: endings, particles and the
common words of asking.
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ENGLISH = _words(
    """
    a about an and are as at be been but by can could did do does for from had has have how i if
    in into is it its may me my not of on or our shall should so than that the their them then
    there these they this those to was we were what when where which who whom why will with would
    you your
    """
)

KOREAN = _words(
    """
    니다 습니 입니 합니 됩니 나요 까요 인가 가요 은가 는가 하나 하는 하면 하여 했다 한다 해야 려면
    되는 되나 있는 있나 이다 이며 는지 무엇 엇인 어떤 어떻 떻게 에서 으로 에게 대한 대해 이란
    언제 어디 어느 누구 누가 얼마 얼만 마나 며칠 무슨 몇 왜 인지 을까 를까 지요 어요 아요 세요 주세
    알려 려주 려줘
    """
)

FUNCTION_WORDS = ENGLISH | KOREAN

"""Which instruments a text is linked with."""

from __future__ import annotations

import pytest

from server.news.linking import Linker, Named

LINKER = Linker(
    [
        Named("AAPL", ("Apple Inc.",)),
        Named("VNM", ("Công ty Cổ phần Sữa Việt Nam", "Vinamilk")),
        Named("BRK.B", ("Berkshire Hathaway",)),
        Named("F", ("Ford Motor Company",)),
        Named("IT", ("Gartner",), cashtag_only=True),
        Named("BTC-USD", ("Bitcoin", "比特币")),
        Named("USD", ("US Dollar",)),
        Named("ALL", ("The Allstate Corporation",)),
        Named("HPG", ("Hòa Phát Group",)),
        Named("700", ("Tencent",)),
        Named("X", ("Co",)),
    ]
)


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("NASDAQ:AAPL and (NYSE: BRK.B).", ["AAPL", "BRK.B"]),
        ("AAPL-led rally; AAPL's, AAPL.", ["AAPL"]),
        ("aapl AAPLE XAAPL ÂAAPL AAPLị", []),
        ("$aapl,$brk.b's $AAPL-led", ["AAPL", "BRK.B"]),
        ("F rises, $f too", ["F"]),
        ("F rises", []),
        ("700 jobs", []),
        ("$700", ["700"]),
        ("an IT company", []),
        ("$IT and Gartner", ["IT"]),
        ("STOCKS RISE ON ALL FRONTS", []),
        ("ALL beats AAPL", ["AAPL", "ALL"]),
        ("AAPL ALL UP", ["AAPL", "ALL"]),
        ("giá BTC-USD", ["BTC-USD"]),
        ("EUR/USD", ["USD"]),
        ("比特币上涨", ["BTC-USD"]),
        ("apple pie", []),
        ("Apple pie, APPLE PIE", ["AAPL"]),
        ("Apple  Inc beats", ["AAPL"]),
        ("Allstate pays", []),
        ("The Allstate pays", ["ALL"]),
        ("Hoa Phat Group lãi; hòa phát", ["HPG"]),
        ("Sữa Việt Nam", ["VNM"]),
        ("sữa việt nam", []),
        ("VINAMILK tăng", ["VNM"]),
        ("Co writes", []),
        ("", []),
    ],
)
def test_tickers_and_names_are_found_by_the_stated_rules(text: str, symbols: list[str]) -> None:
    assert list(LINKER.symbols(text, "")) == symbols
    assert list(LINKER.symbols("news", f"of today\n{text}")) == symbols


def test_what_a_source_tags_counts_where_it_is_an_instrument() -> None:
    assert LINKER.symbols("news", "", ["aapl", "NONE"]) == ("AAPL",)

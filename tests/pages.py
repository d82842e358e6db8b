"""Pages of HTML read back."""

import json
from html.parser import HTMLParser


class Page(HTMLParser):
    """An HTML page read back: the text of each element, by its name and id."""

    def __init__(self, html):
        super().__init__()
        self.texts = {}
        self.tags = []
        self.open = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open = tag if dict(attrs).get("id") is None else f"{tag}#{dict(attrs)['id']}"

    def handle_endtag(self, tag):
        self.open = None

    def handle_data(self, data):
        if self.open:
            self.texts[self.open] = self.texts.get(self.open, "") + data

    @property
    def data(self):
        return json.loads(self.texts["script#data"])

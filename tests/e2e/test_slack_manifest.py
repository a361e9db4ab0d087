# SPDX-License-Identifier: Apache-2.0
"""The Slack app's manifest in docs/slack.md asks for what the broker calls, no less and no more, and leads clicks to it."""
import re
import urllib.parse

import pytest
import yaml
from harness.daemon import ROOT

TEXT = (ROOT / "docs/slack.md").read_text()
# What each method that the broker may call needs of a bot's token (docs.slack.dev/reference/methods).
SCOPES = {"chat.postMessage": {"chat:write"}, "chat.update": {"chat:write"}, "views.open": set()}


@pytest.fixture(scope="module")
def manifest():
    (text,) = re.findall(r"```yaml\n(display_information:.*?)```", TEXT, re.S)
    return yaml.safe_load(text)


def called():
    """The methods that stand in the broker's source."""
    source = "".join(file.read_text() for file in sorted((ROOT / "userspace/broker").glob("*.c")))
    found = set(re.findall(r'"%s/(\w+\.\w+)"', source))
    for family, choice in re.findall(r'"%s/(\w+)\.%s"([^;]*);', source):
        found |= {f"{family}.{name}" for name in re.findall(r'"(\w+)"', choice)}
    return found


def test_scopes_are_those_of_the_methods_called(manifest):
    assert called() == set(SCOPES)
    assert manifest["oauth_config"] == {"scopes": {"bot": sorted(set().union(*SCOPES.values()))}}


def test_it_has_what_slack_asks_for(manifest):
    assert set(manifest) == {"display_information", "features", "oauth_config", "settings"}
    assert len(manifest["display_information"]["name"]) <= 35
    assert len(manifest["display_information"]["description"]) <= 140
    # Who posts is the bot: without one there is no token to install.
    assert manifest["features"]["bot_user"]["display_name"]


def test_clicks_lead_to_the_listener(manifest):
    settings = manifest["settings"]
    assert settings["interactivity"]["is_enabled"] is True
    # Over a socket of Slack's, nothing would come to `listen`; a token that is rotated ends after twelve hours.
    assert settings["socket_mode_enabled"] is False and settings["token_rotation_enabled"] is False
    url = urllib.parse.urlsplit(settings["interactivity"]["request_url"])
    assert (url.scheme, bool(url.hostname), url.query, url.fragment) == ("https", True, "", "")
    # The same as where it is set by hand, and what the proxy of the documentation passes on.
    assert f"*Request URL*: `{url.geturl()}`" in TEXT
    assert f"location {url.path} {{ proxy_pass" in TEXT
    assert f'connection.request(method, "{url.path}"' in (ROOT / "tests/harness/slack.py").read_text()

"""Tabs of a real browser, and the scripts that run in them."""

import time

from tests.support.constants import PASSWORD

EXPIRE = """() => {
  const notes = JSON.parse(localStorage.auth_client);
  localStorage.auth_client = JSON.stringify({ ...notes, due: 0, expires: 0 });
}"""
WHO = """import('/static/session.js')
  .then(({ client }) => client.getUser()).then((user) => user?.email)"""
CALL_FIVE = """import('/static/session.js').then(({ client }) => Promise.all(
  [1, 2, 3, 4, 5].map(() => client.fetch('/api/user/').then((answer) => answer.status))))"""
BOTH_EXPIRE = f"""async ([rounds, email]) => {{
  const other = new BroadcastChannel('rounds');
  const answers = [];
  for (let round = 0; round < rounds; round += 1) {{
    ({EXPIRE})();
    await new Promise((resolve) => setTimeout(resolve, 20)); // until the other tab sees it
    const answer = new Promise((resolve) => {{ other.onmessage = ({{ data }}) => resolve(data); }});
    other.postMessage('now');
    answers.push(await {WHO}, await answer);
  }}
  return answers.filter((answer) => answer === email).length;
}}"""
CALL_WHEN_TOLD = f"""() => {{
  const other = new BroadcastChannel('rounds');
  other.onmessage = () => {WHO}.then((who) => other.postMessage(who));
}}"""
NO_LOCKS = "Object.defineProperty(Navigator.prototype, 'locks', { value: undefined })"


def signed_in(context, server):
    tab = context.new_page()
    tab.goto("/")
    email = f"{time.time_ns()}@example.com"
    tab.evaluate(
        """([email, password]) => import('/static/session.js')
           .then(({ client }) => client.register({ email, password }))""",
        [email, PASSWORD],
    )
    tab.email = email
    return tab


def refreshes(context):
    """Return a list to which every refresh of this browser is appended."""
    seen = []

    def is_refresh(request):
        return request.url.endswith("/api/token/refresh/")

    context.on("request", lambda request: is_refresh(request) and seen.append(request))
    return seen


def stored(tab, name="refresh_token"):
    return tab.evaluate("(name) => localStorage.getItem(name)", name)

/** The client in Node, against a real server whose access tokens live for two seconds. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import axios from "axios";

import {
  AuthError,
  attachToAxios,
  createAuthClient,
  memoryStorage,
} from "../../pycoder/web/static/client/auth-client.js";
import { withPasskeys } from "../../pycoder/web/static/client/passkeys.js";

const baseURL = process.env.SERVER;
const password = "correct horse battery staple";
const LIFETIME = 2000; // ms, of the access tokens

/** Wait until every access token issued so far has expired, by the server and by its client. */
async function expired() {
  const expiry = performance.now() + LIFETIME + 100;
  while (performance.now() < expiry) await sleep(20);
}

/** Count the refreshes of a client, and let a test spoil their answers. */
function observed(spoil = async (answer) => answer, fetch = globalThis.fetch) {
  const seen = { keys: [], urls: [] };
  seen.fetch = async (input, init) => {
    const url = String(input.url ?? input);
    seen.urls.push(url);
    if (!url.endsWith("/api/token/refresh/")) return fetch(input, init);
    seen.keys.push(init.headers["Idempotency-Key"]);
    return spoil(await fetch(input, init), seen.keys.length);
  };
  return seen;
}

/** Return a client that is signed in, its storage, and what it sends. */
async function signedIn(spoil, storage = memoryStorage()) {
  const seen = observed(spoil);
  const client = createAuthClient({ baseURL, storage, fetch: seen.fetch });
  await client.register({ email: `${randomUUID()}@example.com`, password });
  return { client, storage, seen };
}

/** Return what a browser does with cookies: `fetch`, and the cookies by name, with their paths. */
function browser() {
  const cookies = new Map();
  const keep = (answer) => {
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value, path] = line.match(/^([^=]+)=([^;]*);.*Path=([^;]+)/);
      /Max-Age=0/.test(line) ? cookies.delete(name) : cookies.set(name, { value, path });
    }
    return answer;
  };
  const send = (input, init) => {
    const request = new Request(input, init);
    const { pathname } = new URL(request.url);
    const sent = [...cookies].filter(([, { path }]) => pathname.startsWith(path));
    const cookie = sent.map(([name, { value }]) => `${name}=${value}`).join("; ");
    if (request.credentials === "include") request.headers.set("Cookie", cookie);
    return fetch(request);
  };
  return { cookies, send, keep, fetch: async (input, init) => keep(await send(input, init)) };
}

/** Return a client that is signed in by cookie, its storage, its browser, and what it sends. */
async function signedInByCookie(spoil, jar = browser()) {
  const [seen, storage] = [observed(spoil, jar.fetch), memoryStorage()];
  const client = createAuthClient({ baseURL, storage, transport: "cookie", fetch: seen.fetch });
  await client.register({ email: `${randomUUID()}@example.com`, password });
  return { client, storage, seen, jar };
}

const expire = (storage) => {
  const notes = JSON.parse(storage.getItem("auth_client"));
  storage.setItem("auth_client", JSON.stringify({ ...notes, due: 0, expires: 0 }));
};

const problem = (status, code) => () =>
  Response.json({ code, detail: "No." }, { status, headers: { "Retry-After": "0" } });

test("a clock that is a day ahead or behind, or jumps, logs nobody out", async (context) => {
  const now = Date.now;
  let shift = 86_400_000;
  context.mock.method(Date, "now", () => now() + shift);
  const ahead = await signedIn();
  shift = -shift;
  const behind = await signedIn();
  for (const { client, seen } of [behind, ahead]) {
    assert.ok(await client.getUser());
    assert.equal(seen.keys.length, 0); // young, by any clock
  }
  await expired();
  shift = 0;
  for (const { client, seen } of [ahead, behind]) {
    assert.ok(await client.getUser());
    assert.equal(seen.keys.length, 1);
  }
});

describe("the client", { concurrency: true }, () => {
  test("register, getUser, onChange, logout", async () => {
    const { client, storage } = await signedIn();
    const heard = [];
    const stop = client.onChange((state) => heard.push(state));
    assert.match((await client.getUser()).email, /@example.com$/);
    const refresh = storage.getItem("refresh_token");
    await client.logout();
    assert.deepEqual(heard, [{ signedIn: false, ended: "logout" }]);
    assert.equal(storage.getItem("access_token"), null);
    assert.equal(await client.getUser(), null);
    const old = memoryStorage();
    old.setItem("refresh_token", refresh);
    await assert.rejects(createAuthClient({ baseURL, storage: old }).refresh(), { code: "token_revoked" });
    stop();
    await client.register({ email: `${randomUUID()}@example.com`, password });
    assert.equal(heard.length, 1);
  });

  test("a refusal says what is wrong, field by field", async () => {
    const client = createAuthClient({ baseURL, storage: memoryStorage() });
    await assert.rejects(client.register({ email: "nonsense", password }), (error) => {
      assert.ok(error instanceof AuthError);
      assert.equal(error.code, "validation_error");
      assert.ok(error.errors.email[0]);
      return true;
    });
    await assert.rejects(client.login({ email: "a@example.com", password }), { code: "invalid_credentials" });
    assert.equal(client.state().signedIn, false);
  });

  test("five parallel calls after the expiry make one refresh", async () => {
    const { client, seen } = await signedIn();
    await expired();
    const answers = await Promise.all(Array.from({ length: 5 }, () => client.fetch("/api/user/")));
    assert.deepEqual(answers.map((answer) => answer.status), [200, 200, 200, 200, 200]);
    assert.equal(seen.keys.length, 1);
  });

  test("a lost answer is asked for again with the same key, also after a reload", async () => {
    const lost = async (answer, count) => {
      await answer.text();
      if (count < 3) throw new TypeError("network error");
      return answer;
    };
    const storage = memoryStorage();
    const { client, seen } = await signedIn(lost, storage);
    const before = storage.getItem("refresh_token");
    expire(storage);
    client.refresh().catch(() => {}); // the page is closed before the answer comes
    while (seen.keys.length < 1) await sleep(5);
    const reloaded = observed();
    const next = createAuthClient({ baseURL, storage, fetch: reloaded.fetch });
    assert.ok(await next.getUser());
    assert.deepEqual(reloaded.keys, [seen.keys[0]]);
    assert.notEqual(storage.getItem("refresh_token"), before);
    await next.refresh();
    assert.notEqual(reloaded.keys[1], seen.keys[0]); // each refresh has a key of its own
    assert.ok(await next.getUser());
  });

  test("503 and a dead network are repeated; 429, 500 and a stranger's 401 are told; none ends it", async () => {
    const refused = [problem(503, "overloaded"), () => Promise.reject(new TypeError("no route"))];
    const { client, storage } = await signedIn((answer, count) => refused[count - 1]?.() ?? answer);
    const first = storage.getItem("refresh_token");
    // the answers above were lost after the server had rotated, so what comes is its successor
    await client.refresh();
    assert.notEqual(storage.getItem("refresh_token"), first);
    for (const [status, code] of [[429, "too_many_requests"], [500, "internal_error"], [401, undefined]]) {
      const one = await signedIn(problem(status, code));
      await assert.rejects(one.client.refresh(), { status });
      assert.equal(one.client.state().signedIn, true);
      expire(one.storage);
      await assert.rejects(one.client.getUser(), { status });
      assert.ok(one.storage.getItem("refresh_token"));
    }
  });

  test("a 401 that says so ends the session, and tells why", async () => {
    for (const code of ["token_expired", "token_invalid", "token_revoked", "token_reused"]) {
      const { client, storage } = await signedIn(problem(401, code));
      const heard = [];
      client.onChange((state) => heard.push(state));
      expire(storage);
      assert.equal(await client.getUser(), null);
      assert.deepEqual(heard, [{ signedIn: false, ended: code }]);
      assert.equal(storage.getItem("refresh_token"), null);
    }
  });

  test("two that share a storage and no lock stay signed in, twenty times", async () => {
    const storage = memoryStorage();
    const { client } = await signedIn(undefined, storage);
    const other = createAuthClient({ baseURL, storage });
    for (let round = 0; round < 20; round += 1) {
      expire(storage);
      const both = await Promise.all([client.getUser(), other.getUser()]);
      assert.ok(both[0] && both[1], `round ${round}`);
    }
  });

  test("a tab that finds its successor half stored by another does not refresh once more", async () => {
    const storage = memoryStorage();
    const half = async (answer, count) => {
      if (count === 1) storage.setItem("refresh_token", (await answer.clone().json()).refresh);
      return answer;
    };
    const { client, seen } = await signedIn(half, storage);
    const before = storage.getItem("access_token");
    const access = await client.refresh();
    assert.equal(seen.keys.length, 1);
    assert.notEqual(access, before);
    assert.equal(storage.getItem("access_token"), access);
    assert.ok(await client.getUser());
  });

  test("a request is retried once at most, with its body, and never as somebody else", async () => {
    const { client, storage, seen } = await signedIn();
    const bodies = [];
    const refuse = async (input, init) => {
      const url = String(input.url ?? input);
      if (!url.endsWith("/echo")) return seen.fetch(input, init);
      bodies.push(await input.text());
      return new Response(null, { status: 401 });
    };
    const stubborn = createAuthClient({ baseURL, storage, fetch: refuse });
    const answer = await stubborn.fetch("/echo", { method: "POST", body: "twice" });
    assert.equal(answer.status, 401);
    assert.deepEqual(bodies, ["twice", "twice"]);
    assert.equal(seen.keys.length, 1);

    const stale = storage.getItem("access_token");
    await client.register({ email: `${randomUUID()}@example.com`, password });
    await assert.rejects(client.refresh(stale), { code: "signed_out" });
    assert.ok(await client.getUser());
  });

  test("a new password begins a session that other tabs and calls under way go on with", async () => {
    const { client, storage } = await signedIn();
    const other = createAuthClient({ baseURL, storage });
    const seen = [];
    other.onChange(({ signedIn }) => seen.push(signedIn));
    const stale = storage.getItem("access_token");
    const proof = await client.fetch("/api/reauthenticate/", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ password }),
    }).then((answer) => answer.json());
    await client.changePassword({ proof: proof.proof, new_password: `${password}!` });
    assert.notEqual(storage.getItem("access_token"), stale);
    const refused = await fetch(`${baseURL}/api/user/`, { headers: { Authorization: `Bearer ${stale}` } });
    assert.match((await refused.json()).code, /^token_(revoked|expired)$/); // on a slow machine it has expired
    assert.equal(await other.refresh(stale), storage.getItem("access_token"));
    assert.ok(await other.getUser());
    await expired();
    assert.ok(await other.getUser());
    assert.equal(other.state().signedIn, true);
    await client.register({ email: `${randomUUID()}@example.com`, password });
    await assert.rejects(other.refresh(stale), { code: "signed_out" });
  });

  test("a call that wants the password again is not retried", async () => {
    const { storage, seen } = await signedIn();
    const headers = { "WWW-Authenticate": 'Bearer error="insufficient_user_authentication"' };
    const client = createAuthClient({ baseURL, storage, fetch: async () => new Response(null, { status: 401, headers }) });
    assert.equal((await client.fetch("/api/user/")).status, 401);
    assert.equal(seen.keys.length, 0);
    assert.equal(client.state().signedIn, true);
  });

  test("the token goes to its server and the named ones, to nobody else", async () => {
    const { storage } = await signedIn();
    const sent = [];
    const fetch = async (request) => {
      sent.push([request.headers.get("Authorization"), request.headers.get("X-CSRF-TOKEN"), request.credentials]);
      return new Response();
    };
    const client = createAuthClient({ baseURL, storage, fetch, origins: ["https://api.example.com"] });
    await client.fetch("/api/user/");
    await client.fetch("https://api.example.com/things");
    await client.fetch("https://api.example.com.evil.example/things");
    await client.fetch(new URL("//evil.example/api/user/", baseURL));
    assert.deepEqual(sent.map(([token]) => Boolean(token)), [true, true, false, false]);
    await client.fetch("/api/user/", { credentials: "include" });
    const [beside, , stranger, , asked] = sent.map(([, , credentials]) => credentials);
    assert.deepEqual([beside, stranger, asked], ["omit", "same-origin", "include"]);

    sent.length = 0;
    const { storage: kept } = await signedInByCookie();
    const options = { baseURL, storage: kept, fetch, origins: ["https://api.example.com"] };
    const byCookie = createAuthClient({ ...options, transport: "cookie" });
    await byCookie.fetch("/api/user/");
    await byCookie.fetch("https://api.example.com/things");
    const { csrf } = JSON.parse(kept.getItem("auth_client"));
    assert.deepEqual(sent, [[null, csrf, "include"], [null, null, "same-origin"]]);
  });

  test("logout tells the server even when the access token has expired, and says if it could not", async () => {
    const { client, storage } = await signedIn();
    const refresh = storage.getItem("refresh_token");
    await expired();
    await client.logout();
    const old = memoryStorage();
    old.setItem("refresh_token", refresh);
    await assert.rejects(createAuthClient({ baseURL, storage: old }).refresh(), { code: "token_revoked" });
    const away = await signedIn();
    const deaf = createAuthClient({ baseURL, storage: away.storage, fetch: async () => problem(500)() });
    await assert.rejects(deaf.logout(), { status: 500 });
    assert.equal(deaf.state().signedIn, false);
  });

  test("axios: one refresh for five calls, bodies kept, no token for others, one retry", async () => {
    const { client, storage, seen } = await signedIn();
    const api = axios.create({ baseURL });
    attachToAxios(api, client);
    await expired();
    const users = await Promise.all([1, 2, 3, 4, 5].map(() => api.get("/api/user/")));
    assert.deepEqual(users.map((answer) => answer.status), [200, 200, 200, 200, 200]);
    assert.equal(seen.keys.length, 1);

    storage.setItem("access_token", "nonsense"); // only the 401 tells
    assert.equal((await api.get("/api/user/")).status, 200);
    assert.equal(seen.keys.length, 2);

    const sent = [];
    const adapter = async (config) => {
      sent.push([config.headers.Authorization, config.data]);
      throw new axios.AxiosError("no", "ERR", config, null, { status: 401, headers: {}, config });
    };
    await assert.rejects(api.post("https://evil.example/", { a: 1 }, { adapter }));
    assert.deepEqual(sent, [[undefined, '{"a":1}']]);
    sent.length = 0;
    await assert.rejects(api.post("/api/user/", { a: 1 }, { adapter }), (error) => error.response.status === 401);
    assert.deepEqual(sent.map(([, data]) => data), ['{"a":1}', '{"a":1}']);
    assert.notEqual(sent[0][0], sent[1][0]);
  });

  test("by cookie: five calls make one refresh, and no token is seen", async () => {
    const { client, storage, seen, jar } = await signedInByCookie();
    await expired();
    const calls = Array.from({ length: 5 }, () => client.fetch("/api/sessions/", { method: "DELETE" }));
    assert.deepEqual((await Promise.all(calls)).map((answer) => answer.status), [204, 204, 204, 204, 204]);
    assert.equal(seen.keys.length, 1);
    assert.equal(await client.getAccessToken(), null);
    assert.equal(storage.getItem("access_token") ?? storage.getItem("refresh_token"), null);
    for (const { value } of [jar.cookies.get("pycoder_access"), jar.cookies.get("pycoder_refresh")]) {
      assert.ok(value.includes(".") && !storage.getItem("auth_client").includes(value));
    }
    const stale = jar.cookies.get("pycoder_csrf").value;
    await client.changePassword({ current_password: password, new_password: `${password}!` });
    await client.refresh(`${stale}.0`); // of a call that was under way
    await client.refresh();
    assert.ok(await client.getUser());
  });

  test("by cookie: a lost answer is asked for again with the same key, its cookies lost or not", async () => {
    for (const arrive of [false, true]) {
      const jar = browser();
      const lossy = { ...jar };
      let lost = 0;
      lossy.fetch = async (input, init) => {
        if (!String(input.url ?? input).endsWith("/refresh/") || lost++) return jar.fetch(input, init);
        const answer = await jar.send(input, init);
        if (arrive) jar.keep(answer);
        throw new TypeError("network error");
      };
      const { client, storage, seen } = await signedInByCookie(undefined, lossy);
      for (const _ of [1, 2, 3]) {
        expire(storage);
        assert.ok(await client.getUser());
      }
      assert.equal(seen.keys.length, 4);
      assert.equal(seen.keys[0], seen.keys[1]);
    }
  });

  test("by cookie: two that share all but a lock stay signed in, twenty times", async () => {
    const { client, storage, jar } = await signedInByCookie();
    const other = createAuthClient({ baseURL, storage, transport: "cookie", fetch: jar.fetch });
    for (let round = 0; round < 20; round += 1) {
      expire(storage);
      const both = await Promise.all([client.getUser(), other.getUser()]);
      assert.ok(both[0] && both[1], `round ${round}`);
    }
  });

  test("by cookie: it ends with its cookies, with another's, and with a logout after the expiry", async () => {
    const { client, jar } = await signedInByCookie();
    const kept = new Map(jar.cookies);
    await expired();
    await client.logout();
    assert.deepEqual([...jar.cookies.keys()], ["device"]);
    kept.forEach((cookie, name) => jar.cookies.set(name, cookie));
    const old = await jar.fetch(`${baseURL}/api/token/refresh/`, { method: "POST", credentials: "include", headers: { "X-CSRF-TOKEN": kept.get("pycoder_csrf").value } });
    assert.equal((await old.json()).code, "token_revoked");
    const gone = await signedInByCookie();
    gone.jar.cookies.clear();
    assert.equal(await gone.client.getUser(), null);
    assert.equal(gone.client.state().ended, "validation_error");
    const replaced = await signedInByCookie();
    await signedInByCookie(undefined, replaced.jar);
    expire(replaced.storage);
    assert.equal(await replaced.client.getUser(), null);
    assert.equal(replaced.client.state().ended, "csrf_failed");
  });

  test("by cookie, with axios: one refresh for five calls, the CSRF token, and nothing for others", async () => {
    const { client, storage, seen, jar } = await signedInByCookie();
    const sent = [];
    const adapter = async (config) => {
      const { origin } = new URL(config.baseURL ?? baseURL);
      sent.push([config.headers["X-CSRF-TOKEN"], config.withCredentials]);
      if (config.url.startsWith("https:")) throw new axios.AxiosError("no", "ERR", config, null, { status: 401, headers: {} });
      const credentials = config.withCredentials ? "include" : "omit";
      const answer = await jar.fetch(origin + config.url, { method: config.method.toUpperCase(), headers: { ...config.headers }, credentials });
      const response = { status: answer.status, headers: Object.fromEntries(answer.headers), config };
      if (answer.ok) return response;
      throw new axios.AxiosError("no", "ERR", config, null, response);
    };
    const api = axios.create({ baseURL, adapter });
    attachToAxios(api, client);
    await expired();
    const deleted = await Promise.all([1, 2, 3, 4, 5].map(() => api.delete("/api/sessions/")));
    assert.deepEqual(deleted.map((answer) => answer.status), [204, 204, 204, 204, 204]);
    assert.equal(seen.keys.length, 1);
    jar.cookies.delete("pycoder_access"); // only the 401 tells
    assert.equal((await api.get("/api/user/")).status, 200);
    assert.equal(seen.keys.length, 2);
    const { csrf } = JSON.parse(storage.getItem("auth_client"));
    assert.ok(sent.every(([token, credentials]) => token === csrf && credentials === true));
    sent.length = 0;
    await assert.rejects(api.post("https://evil.example/", { a: 1 }));
    assert.deepEqual(sent, [[undefined, undefined]]);
  });

  test("a login that needs a second step rejects with its ticket, and the second step signs in", async () => {
    const half = { code: "second_factor_required", detail: "One more step.", ticket: "t1", methods: ["totp"], expires_in: 300 };
    const { storage } = await signedIn();
    const [access, refresh] = ["access_token", "refresh_token"].map((name) => storage.getItem(name));
    const sent = [];
    const fetch = async (url, init) => {
      sent.push([new URL(url).pathname, JSON.parse(init.body)]);
      if (sent.length === 1) return Response.json(half, { status: 403 });
      return Response.json({ user: { email: "ada@example.com" }, tokens: { access, refresh } });
    };
    const client = createAuthClient({ baseURL, storage: memoryStorage(), fetch });
    const error = await client.login({ email: "ada@example.com", password }).catch((refused) => refused);
    assert.ok(error instanceof AuthError);
    assert.deepEqual([error.status, error.code, error.ticket, error.methods, error.expiresIn],
      [403, "second_factor_required", "t1", ["totp"], 300]);
    assert.equal(client.state().signedIn, false);
    const step = { ticket: error.ticket, code: "123456", remember_device: true };
    assert.deepEqual(await client.secondStep(step), { email: "ada@example.com" });
    assert.equal(client.state().signedIn, true);
    assert.deepEqual(sent[1], ["/api/login/second-step/", step]);
  });

  test("a refused ticket keeps its code, and codes of errors stand beside their sentences", async () => {
    const client = createAuthClient({ baseURL, storage: memoryStorage() });
    await assert.rejects(client.secondStep({ ticket: "nonsense", code: "123456" }), { code: "ticket_invalid" });
    await assert.rejects(client.register({ email: "nonsense", password }), (error) => {
      assert.equal(error.errorCodes.email[0].code, "not_an_email");
      return true;
    });
  });

  test("fetch and axios leave a 403 alone", async () => {
    const { client, seen } = await signedIn();
    const api = axios.create({ baseURL });
    attachToAxios(api, client);
    const adapter = async (config) => {
      throw new axios.AxiosError("no", "ERR", config, null, { status: 403, headers: {}, data: {} });
    };
    await assert.rejects(api.post("/api/reauthenticate/", {}, { adapter }), (error) => error.response.status === 403);
    const refused = await client.fetch("/api/factors/totp/", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ password }),
    });
    assert.equal((await refused.json()).code, "email_unverified");
    assert.equal(seen.keys.length, 0);
    assert.equal(client.state().signedIn, true);
  });

  test("without a browser there are no passkeys, and one request takes over from another", async (context) => {
    const { client } = await signedIn();
    const { passkeys } = withPasskeys(client);
    assert.equal(passkeys.isSupported(), false);
    assert.equal(await passkeys.canAutofill(), false);
    const waiting = [];
    const get = ({ signal, mediation }) => new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
      waiting.push({ mediation, signal, resolve, reject });
    });
    const signals = [];
    globalThis.PublicKeyCredential = {
      parseRequestOptionsFromJSON: (options) => options,
      signalUnknownCredential: async (fields) => signals.push(fields),
    };
    const own = Object.getOwnPropertyDescriptor(globalThis, "navigator");
    Object.defineProperty(globalThis, "navigator", { value: { credentials: { get } }, configurable: true });
    context.after(() => {
      delete globalThis.PublicKeyCredential;
      delete globalThis.navigator;
      if (own) Object.defineProperty(globalThis, "navigator", own);
    });
    const other = withPasskeys(client).passkeys;
    const until = async (count) => { while (waiting.length < count) await sleep(5); };
    const first = other.signIn({ conditional: true }).catch((error) => error);
    await until(1);
    const second = other.signIn().catch((error) => error);
    assert.equal((await first).name, "AbortError");
    await until(2);
    assert.deepEqual(waiting.map(({ mediation }) => mediation), ["conditional", undefined]);
    waiting[1].reject(new DOMException("no", "NotAllowedError"));
    assert.equal((await second).code, "passkey_cancelled");
    assert.deepEqual(signals, []); // only a server that is sure may hide a passkey
    const stopped = other.get({ signal: AbortSignal.abort() }).catch((error) => error);
    assert.equal((await stopped).name, "AbortError");
  });

  test("the flow document's own interceptor works for one refresh, and not for a second", async () => {
    const { storage: localStorage } = await signedIn();
    const axiosClient = axios.create({ baseURL });
    axiosClient.interceptors.request.use((config) => {
      const token = localStorage.getItem("access_token");
      if (token) {
        config.headers.Authorization = `Bearer ${token}`;
      }
      return config;
    });
    axiosClient.interceptors.response.use(
      (response) => response,
      async (error) => {
        const originalRequest = error.config;
        if (error.response?.status === 401) {
          const refreshToken = localStorage.getItem("refresh_token");
          const response = await axios.post(`${baseURL}/api/token/refresh/`, { refresh: refreshToken });
          localStorage.setItem("access_token", response.data.access);
          originalRequest.headers.Authorization = `Bearer ${response.data.access}`;
          return axiosClient(originalRequest);
        }
      },
    );
    await expired();
    assert.equal((await axiosClient.get("/api/user/")).status, 200);
    await expired();
    await assert.rejects(axiosClient.get("/api/user/"), (error) => error.response.data.code === "token_reused");
  });
});

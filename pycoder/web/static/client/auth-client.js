/**
 * Signs people in with a PyCoder server and keeps them signed in: across tabs, reloads, lost
 * answers, a server that is away, and a clock that is wrong. docs/frontend.md shows its use.
 *
 * @typedef {{ access?: string, refresh?: string, expires_in?: number, csrf_token?: string }} Tokens
 * @typedef {{ id: number, email: string, email_verified: boolean, username: string,
 *   first_name: string, last_name: string, date_joined: string }} User
 * @typedef {{ email?: string, username?: string, password: string }} Credentials
 * @typedef {{ email: string, password: string, password2?: string, username?: string,
 *   first_name?: string, last_name?: string }} Profile
 * @typedef {Pick<Storage, "getItem" | "setItem" | "removeItem">} TokenStorage
 * @typedef {{ signedIn: boolean, ended: string | null }} State and why it ended: "logout" or a code
 * @typedef {ReturnType<typeof createAuthClient>} AuthClient
 */

const PAUSES = [300, 1000, 2000, 4000, 8000]; // ms before each repetition, give or take a fifth
const PATIENCE = 10_000; // ms that one try of a refresh may take
const EARLY = 30_000; // ms before its expiry that an access token is renewed
const SETTLED = 50; // ms until what the tab before us has stored is seen here
// Codes of a refresh; the last one says that the cookie is gone.
const ENDS_SESSION = /^(token_(expired|invalid|revoked|reused)|csrf_failed|validation_error)$/;
const NO_REMEDY = /insufficient_user_authentication/; // RFC 9470: a password, not a new token

/** A refusal or fault: `code` is stable, `message` is a sentence that a page can show. */
export class AuthError extends Error {
  /** @param {number} status @param {any} problem RFC 9457 @param {Headers} [headers] */
  constructor(status, problem, headers) {
    const sentence = problem?.detail ?? "The server's answer was not understood. Please try again.";
    super(sentence, { cause: problem?.cause });
    this.status = status; // 0: there was no answer
    this.code = String(problem?.code);
    this.errors = /** @type {Record<string, string[]>} */ (problem?.errors ?? {}); // by field
    this.retryAfter = Number(headers?.get("Retry-After")) || 0; // seconds
    this.passes = [0, 502, 503, 504].includes(status); // whether it may work in a while
  }

  /** @param {Response} response a refusal */
  static async from(response) {
    return new AuthError(response.status, await response.json().catch(() => null), response.headers);
  }
}

/** @returns {TokenStorage} a storage that ends with the page */
export function memoryStorage() {
  const map = new Map();
  return { getItem: (name) => map.get(name) ?? null, setItem: map.set.bind(map), removeItem: map.delete.bind(map) };
}

/** @template T @param {() => T | null} read @param {T} fallback @returns {T} */
function attempt(read, fallback) {
  try { return read() ?? fallback; } catch { return fallback; }
}

/** @param {string} token @returns {Record<string, any>} its claims, which nobody has verified */
function claimsOf(token) {
  const payload = token.split(".")[1]?.replace(/-/g, "+").replace(/_/g, "/");
  return attempt(() => JSON.parse(atob(payload)), {});
}

const pause = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));
const newSecret = () => crypto.getRandomValues(new BigUint64Array(2)).join("-"); // 128 bits

// What the browser keeps: the pair; the session's secret for retry keys; when the access token is
// due for renewal and expires, by our own clock from its arrival; why the last session ended. A pair
// in cookies is not seen: the CSRF token stands for its session, and the expiry tells pairs apart.
/** @param {TokenStorage} storage @param {boolean} inCookies */
function tokenStore(storage, inCookies) {
  const notes = () => attempt(() => JSON.parse(storage.getItem("auth_client") ?? ""), {});
  const note = (/** @type {object} */ said) => storage.setItem("auth_client", JSON.stringify(said));
  const put = (name = "", value = "") => (value ? storage.setItem(name, value) : storage.removeItem(name));
  const mark = ({ csrf, expires } = notes()) => csrf && `${csrf}.${expires}`;
  const kept = () => (inCookies ? mark() : storage.getItem("refresh_token"));
  const sidOf = (token = "") => (inCookies ? token.split(".")[0] : claimsOf(token).sid);
  return {
    notes,
    sidOf,
    load() {
      const refresh = kept();
      const access = inCookies ? refresh : (storage.getItem("access_token") ?? "");
      return refresh ? { due: Infinity, expires: Infinity, ...notes(), access, refresh } : null;
    },
    /** @param {Tokens} tokens @param {string} [secret] of a new session; else the old one stays */
    save({ access = "", refresh, expires_in, csrf_token: csrf }, secret = notes().secret) {
      const { exp, iat } = claimsOf(access);
      const life = (expires_in ?? exp - iat) * 1000;
      const [expires, early] = [Date.now() + life, Math.min(EARLY, life / 10)];
      note({ secret, csrf, ...(life > 0 && { expires, due: expires - early }) });
      put("refresh_token", refresh); // first: with it alone the session goes on
      put("access_token", access);
      return access || kept();
    },
    drop: (ended = "") => (note({ ended }), put("access_token"), put("refresh_token")),
    /** @param {string} refresh @returns {string} the same for every try with it, or with all in cookies */
    retryKey(refresh) {
      if (!notes().secret) note({ ...notes(), secret: newSecret() });
      return `${notes().secret}.${claimsOf(refresh).jti ?? ""}`;
    },
    session: (held = kept()) => held && (sidOf(held) ?? held),
  };
}

/**
 * @param {object} [options]
 * @param {string} [options.baseURL] where the server is; by default, where the page comes from
 * @param {TokenStorage} [options.storage] localStorage (default), sessionStorage, memoryStorage()
 * @param {"body" | "cookie"} [options.transport] cookie: tokens that no script can read
 * @param {string[]} [options.origins] of other services that are to get the access token
 * @param {typeof globalThis.fetch} [options.fetch]
 */
export function createAuthClient({
  baseURL = globalThis.location?.origin,
  storage = attempt(() => globalThis.localStorage, memoryStorage()), // it may be forbidden
  transport = /** @type {"body" | "cookie"} */ ("body"),
  origins = [],
  fetch = (input, init) => globalThis.fetch(input, init),
} = {}) {
  const base = baseURL.replace(/\/+$/, "");
  const inCookies = transport === "cookie";
  const how = inCookies ? { transport } : {};
  const tokens = tokenStore(storage, inCookies);
  const listeners = /** @type {Set<(state: State) => void>} */ (new Set());
  let told = tokens.session();
  let renewal = /** @type {Promise<string> | null} */ (null);

  /** @returns {State} */
  const state = () => ({ signedIn: !!tokens.session(), ended: tokens.notes().ended ?? null });
  function announce() {
    if (told !== (told = tokens.session())) listeners.forEach((listener) => listener(state()));
  }
  const end = (code = "") => (tokens.drop(code), announce());
  // The second event is for a page that comes back from a cache, where no event reached it.
  ["storage", "pageshow"].forEach((event) => globalThis.addEventListener?.(event, announce));

  // Run a task while no other tab does. Where there are no locks, or a frozen tab holds it, two
  // may refresh at once: they send the same retry key, and so get the same successor.
  /** @template T @param {() => Promise<T>} task @returns {Promise<T>} */
  async function exclusive(task) {
    const [locks, signal] = [globalThis.navigator?.locks, AbortSignal.timeout(2 * PATIENCE)];
    const asked = performance.now();
    const inTurn = () => pause(performance.now() - asked > 5 ? SETTLED : 0).then(task);
    const turn = locks?.request(`auth-client ${base}`, { signal }, inTurn) ?? task();
    return turn.catch((error) => (error === signal.reason ? task() : Promise.reject(error)));
  }

  // Repeat a task, with growing pauses, for as long as its failure is one that passes.
  /** @template T @param {() => Promise<T>} task @returns {Promise<T>} */
  async function insist(task, [least, ...pauses] = PAUSES) {
    return task().catch(async (error) => {
      if (!error.passes || !least) throw error;
      await pause(Math.max(least, Math.min(error.retryAfter * 1000, PATIENCE)) * (0.8 + 0.4 * Math.random()));
      return insist(task, pauses);
    });
  }

  /** @param {string | null} [token] @returns {Record<string, string>} the header for it */
  const headersOf = (token) => !token ? {}
    : inCookies ? { "X-CSRF-TOKEN": tokens.sidOf(token) } : { Authorization: `Bearer ${token}` };
  const fieldsOf = (refresh = "") => (inCookies ? {} : { refresh });

  /** @param {any} cause @returns {never} */
  function unreachable(cause) {
    if (cause?.name === "AbortError") throw cause; // the caller's own wish
    const detail = "The server cannot be reached. Please try again.";
    throw new AuthError(0, { code: "network_error", detail, cause });
  }

  /** @param {string} path @param {{}} fields @param {Record<string, string>} [headers] @param {{}} [init] */
  async function post(path, fields, headers, init) {
    const response = await fetch(base + path, {
      method: "POST",
      credentials: headers?.Authorization ? "omit" : "include", // also what knows a device
      headers: { "Content-Type": "application/json", ...headers },
      body: JSON.stringify(fields),
      ...init,
    }).catch(unreachable);
    if (!response.ok) throw await AuthError.from(response);
    return response.status === 204 ? null : response.json().catch(unreachable);
  }

  // Take over the pair that a call answers with; no refresh comes in between.
  /** @param {string} path @param {{}} fields @param {Record<string, string>} [headers] */
  async function enter(path, fields, headers) {
    return exclusive(async () => {
      const answer = await post(path, fields, headers);
      tokens.save(answer.tokens ?? answer, newSecret());
      announce();
      return answer.user;
    });
  }

  /** @param {string} [stale] @returns {Promise<string>} */
  async function renew(stale) {
    const held = tokens.load();
    const over = !held || (tokens.sidOf(stale) || tokens.session()) !== tokens.session();
    if (over) throw new AuthError(401, { code: "signed_out", detail: "Please sign in." });
    const { access, refresh } = held;
    if (stale && access && access !== stale) return access; // another was first
    const headers = { "Idempotency-Key": tokens.retryKey(refresh), ...(inCookies && headersOf(refresh)) };
    const once = { signal: AbortSignal.timeout(PATIENCE) };
    const answer = await post("/api/token/refresh/", fieldsOf(refresh), headers, once).catch((error) => error);
    const ours = [refresh, answer.refresh ?? refresh]; // the latter may be half stored by another tab
    if (!ours.includes(tokens.load()?.refresh)) return renew(access); // over, or ahead
    if (inCookies ? answer.csrf_token : answer.access && answer.refresh) return tokens.save(answer);
    if (ENDS_SESSION.test(answer.code)) end(answer.code); // no other fault is the end
    throw answer instanceof AuthError ? answer : new AuthError(0, {});
  }

  // Trade the refresh token for a new pair, once for all calls and tabs that ask at one time.
  /** @param {string} [stale] the access token that was refused; a newer one is taken as it is */
  const refresh = (stale) =>
    (renewal ??= insist(() => exclusive(() => renew(stale))).finally(() => (renewal = null)));

  /** @param {string} stale @returns {Promise<string | null>} null if the session is over */
  const refreshed = (stale) => refresh(stale).catch((error) => (tokens.session() ? Promise.reject(error) : null));

  /** @param {string} [url] where to @returns {Promise<string | null>} a token to send, if any */
  async function tokenFor(url = base) {
    const { origin } = new URL(url, globalThis.location?.href);
    const ours = [new URL(base).origin, ...(inCookies ? [] : origins)];
    const held = ours.includes(origin) ? tokens.load() : null;
    if (!held || (Date.now() < held.due && held.access)) return held && held.access;
    const renewed = refreshed(held.access);
    if (Date.now() >= held.expires || !held.access) return renewed;
    renewed.catch(() => {}); // the old one is good enough, and the next call tries again
    return held.access;
  }

  // Fetch with the access token; after a 401, refresh and try once more.
  /** @param {string | URL | Request} input a path or an address @param {RequestInit} [init] */
  async function authorizedFetch(input, init) {
    const request = new Request(/^\/(?!\/)/.test(String(input)) ? base + input : input, init);
    const token = request.headers.has("Authorization") ? null : await tokenFor(request.url);
    const unsaid = token && request.credentials === "same-origin"; // which is the default
    const credentials = unsaid ? (inCookies ? "include" : "omit") : request.credentials;
    const send = (/** @type {string | null} */ access) => {
      const headers = { ...Object.fromEntries(request.headers), ...headersOf(access) };
      return fetch(new Request(request.clone(), { headers, credentials })).catch(unreachable);
    };
    const response = await send(token);
    const remedy = !NO_REMEDY.test(response.headers.get("WWW-Authenticate") ?? "");
    const renewed = token && response.status === 401 && remedy && (await refreshed(token));
    return renewed ? send(renewed) : response;
  }

  return {
    /** @param {Profile} profile @returns {Promise<User>} */
    register: (profile) => enter("/api/register/", { ...profile, ...how }),
    /** @param {Credentials} credentials @returns {Promise<User>} */
    login: (credentials) => enter("/api/login/", { ...credentials, ...how }),
    refresh,
    fetch: authorizedFetch,
    /** @param {string} [url] where to @returns what a request has to carry, in the words of axios */
    async authorize(url) {
      const token = await tokenFor(url);
      return { token, headers: headersOf(token), ...(inCookies && token && { withCredentials: true }) };
    },
    getAccessToken: inCookies ? async () => null : tokenFor,
    state,
    /** @returns {Promise<User | null>} who is signed in, if anybody is */
    async getUser() {
      const response = tokens.session() ? await authorizedFetch("/api/user/") : null;
      if (response && !response.ok && tokens.session()) throw await AuthError.from(response);
      return response?.ok ? response.json().catch(unreachable) : null;
    },
    /** @param {{ current_password: string, new_password: string }} fields */
    async changePassword(fields) {
      await enter("/api/password/change/", fields, headersOf(await refresh()));
    },
    /** Sign out in all tabs; rejects if the server could not be told that the session is over. */
    async logout() {
      const { access, refresh } = tokens.load() ?? {};
      end("logout");
      if (!refresh) return;
      const call = () => post("/api/logout/", fieldsOf(refresh), headersOf(access), { keepalive: true });
      await insist(call).catch((error) => error.status === 401 || Promise.reject(error)); // it was over already
    },
    /** @param {(state: State) => void} listener hears of sign-ins and sign-outs, in all tabs */
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener); // to hear no more
    },
  };
}

// Give an axios instance its two interceptors: to add the token, and to refresh and retry once.
/** @param {any} instance @param {AuthClient} client */
export function attachToAxios(instance, client) {
  instance.interceptors.request.use(async (/** @type {any} */ config) => {
    const { headers, ...carried } = await client.authorize(instance.getUri(config));
    config.headers.set(headers);
    return Object.assign(config, carried);
  });
  instance.interceptors.response.use(undefined, async (/** @type {any} */ error) => {
    const { config, response } = error;
    const stale = response?.status === 401 && !NO_REMEDY.test(response.headers["www-authenticate"]);
    if (!stale || !config.token || config.retried) throw error;
    await client.refresh(config.token).catch((other) => Promise.reject(client.state().signedIn ? other : error));
    return instance({ ...config, retried: true });
  });
}

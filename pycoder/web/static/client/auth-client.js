/**
 * Signs users in with a PyCoder server and keeps them signed in: across tabs and reloads, after
 * lost responses and server outages, and with a wrong clock. See docs/frontend.md.
 *
 * @typedef {{ access?: string, refresh?: string, expires_in?: number, csrf_token?: string }} Tokens
 * @typedef {{ id: number, email: string, email_verified: boolean, username: string,
 *   first_name: string, last_name: string, date_joined: string, external_id: string | null }} User
 * @typedef {{ email?: string, username?: string, password: string }} Credentials
 * @typedef {{ ticket: string, code?: string, recovery_code?: string, passkey?: object,
 *   remember_device?: boolean }} SecondStep with one factor; for `passkey`, see passkeys.js
 * @typedef {{ email: string, password: string, password2?: string, username?: string,
 *   first_name?: string, last_name?: string }} Profile
 * @typedef {Pick<Storage, "getItem" | "setItem" | "removeItem">} TokenStorage
 * @typedef {{ signedIn: boolean, ended: string | null }} State `ended` is "logout" or a problem code
 * @typedef {ReturnType<typeof createAuthClient>} AuthClient
 */

const RETRY_DELAYS = [300, 1000, 2000, 4000, 8000]; // ms, each varied by up to 20 %
const REFRESH_TIMEOUT = 10_000; // ms for one attempt
const RENEWAL_MARGIN = 30_000; // ms before its expiry that an access token is renewed
const STORAGE_DELAY = 50; // ms until a write of another tab to localStorage is visible here
// Problem codes of a refresh. `validation_error` means that the refresh cookie is missing.
const ENDS_SESSION = /^(token_(expired|invalid|revoked|reused)|csrf_failed|validation_error)$/;
const NEEDS_PASSWORD = /insufficient_user_authentication/; // RFC 9470: a new token does not help

/** A failed request: `code` is stable, `message` is a sentence that a page can show. */
export class AuthError extends Error {
  /** @param {number} status @param {any} problem as in RFC 9457 @param {Headers} [headers] */
  constructor(status, problem, headers) {
    super(problem?.detail ?? "The server sent an unexpected response. Please try again.", { cause: problem?.cause });
    this.status = status; // 0: no response
    this.code = String(problem?.code);
    this.errors = /** @type {Record<string, string[]>} */ (problem?.errors ?? {}); // by field
    this.errorCodes = /** @type {Record<string, { code: string }[]>} */ (problem?.error_codes ?? {});
    this.ticket = String(problem?.ticket ?? ""); // for the second step, with the methods that it takes
    this.methods = /** @type {string[]} */ (problem?.methods ?? []); // totp, recovery_code, passkey
    this.expiresIn = Number(problem?.expires_in) || 0; // seconds
    this.retryAfter = Number(headers?.get("Retry-After")) || 0; // seconds
    this.passes = [0, 502, 503, 504].includes(status); // whether a retry may succeed
  }

  /** @param {Response} response with a status of 400 or more */
  static async from(response) {
    return new AuthError(response.status, await response.json().catch(() => null), response.headers);
  }
}

/** @returns {TokenStorage} a storage that is lost when the page is closed */
export function memoryStorage() {
  const map = new Map();
  return { getItem: (name) => map.get(name) ?? null, setItem: map.set.bind(map), removeItem: map.delete.bind(map) };
}

/** @template T @param {() => T | null} read @param {T} fallback @returns {T} */
function attempt(read, fallback) {
  try { return read() ?? fallback; } catch { return fallback; }
}

/** @param {string} token @returns {Record<string, any>} its claims, not verified */
function claimsOf(token) {
  const payload = token.split(".")[1]?.replace(/-/g, "+").replace(/_/g, "/");
  return attempt(() => JSON.parse(atob(payload)), {});
}

const pause = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));
const newSecret = () => crypto.getRandomValues(new BigUint64Array(2)).join("-"); // 128 bits

// Stores the token pair, the session's secret for retry keys, the times at which the access token is
// due for renewal and expires (by the local clock, from its arrival), and why the last session ended.
// No script sees a pair in cookies: the CSRF token identifies its session, and the expiry the pair.
/** @param {TokenStorage} storage @param {boolean} inCookies */
function tokenStore(storage, inCookies) {
  const notes = () => attempt(() => JSON.parse(storage.getItem("auth_client") ?? ""), {});
  const saveNotes = (/** @type {object} */ fields) => storage.setItem("auth_client", JSON.stringify(fields));
  const put = (name = "", value = "") => (value ? storage.setItem(name, value) : storage.removeItem(name));
  const cookiePairId = ({ csrf, expires } = notes()) => csrf && `${csrf}.${expires}`;
  const pairId = () => (inCookies ? cookiePairId() : storage.getItem("refresh_token"));
  const sidOf = (token = "") => (inCookies ? token.split(".")[0] : claimsOf(token).sid);
  return {
    notes,
    sidOf,
    load() {
      const refresh = pairId();
      const access = inCookies ? refresh : (storage.getItem("access_token") ?? "");
      return refresh ? { due: Infinity, expires: Infinity, ...notes(), access, refresh } : null;
    },
    /** @param {Tokens} tokens @param {{ secret?: string, former?: string }} [kept] of the session */
    save({ access = "", refresh, expires_in, csrf_token: csrf }, { secret, former } = notes()) {
      const { exp, iat } = claimsOf(access);
      const life = (expires_in ?? exp - iat) * 1000;
      const [expires, early] = [Date.now() + life, Math.min(RENEWAL_MARGIN, life / 10)];
      saveNotes({ secret, former, csrf, ...(life > 0 && { expires, due: expires - early }) });
      put("refresh_token", refresh); // first, because it alone can continue the session
      put("access_token", access);
      return access || pairId();
    },
    drop: (ended = "") => (saveNotes({ ended }), put("access_token"), put("refresh_token")),
    /** @param {string} refresh @returns {string} one key for all attempts with it */
    retryKey(refresh) {
      if (!notes().secret) saveNotes({ ...notes(), secret: newSecret() });
      return `${notes().secret}.${claimsOf(refresh).jti ?? ""}`;
    },
    session: (pair = pairId()) => pair && (sidOf(pair) ?? pair),
  };
}

/**
 * @param {object} [options]
 * @param {string} [options.baseURL] of the server; by default the origin of the page
 * @param {TokenStorage} [options.storage] localStorage (default), sessionStorage, memoryStorage()
 * @param {"body" | "cookie"} [options.transport] "cookie" keeps the tokens from all scripts
 * @param {string[]} [options.origins] of other services that receive the access token
 * @param {typeof globalThis.fetch} [options.fetch]
 */
export function createAuthClient({
  baseURL = globalThis.location?.origin,
  storage = attempt(() => globalThis.localStorage, memoryStorage()), // access may be blocked
  transport = /** @type {"body" | "cookie"} */ ("body"),
  origins = [],
  fetch = (input, init) => globalThis.fetch(input, init),
} = {}) {
  const base = baseURL.replace(/\/+$/, "");
  const inCookies = transport === "cookie";
  const transportField = inCookies ? { transport } : {};
  const tokens = tokenStore(storage, inCookies);
  const listeners = /** @type {Set<(state: State) => void>} */ (new Set());
  let announced = tokens.session();
  let renewal = /** @type {Promise<string> | null} */ (null);

  /** @returns {State} */
  const state = () => ({ signedIn: !!tokens.session(), ended: tokens.notes().ended ?? null });
  const announce = () => announced !== (announced = tokens.session()) && listeners.forEach((listener) => listener(state()));
  const end = (code = "") => (tokens.drop(code), announce());
  // "pageshow" is for a page restored from the back/forward cache, where it received no event.
  ["storage", "pageshow"].forEach((event) => globalThis.addEventListener?.(event, announce));

  // Run a task under a lock shared by all tabs. Without Web Locks, or while a frozen tab holds the
  // lock, two tabs may refresh at once: they send the same retry key and get the same successor.
  /** @template T @param {() => Promise<T>} task @returns {Promise<T>} */
  async function withLock(task) {
    const [locks, signal] = [globalThis.navigator?.locks, AbortSignal.timeout(2 * REFRESH_TIMEOUT)];
    const requested = performance.now();
    const afterDelay = () => pause(performance.now() - requested > 5 ? STORAGE_DELAY : 0).then(task);
    const result = locks?.request(`auth-client ${base}`, { signal }, afterDelay) ?? task();
    return result.catch((error) => (error === signal.reason ? task() : Promise.reject(error)));
  }

  // Retry a task with growing delays while it fails for a temporary reason.
  /** @template T @param {() => Promise<T>} task @returns {Promise<T>} */
  async function retry(task, [delay, ...delays] = RETRY_DELAYS) {
    return task().catch(async (error) => {
      if (!error.passes || !delay) throw error;
      const least = Math.min(error.retryAfter * 1000, REFRESH_TIMEOUT);
      await pause(Math.max(delay, least) * (0.8 + 0.4 * Math.random()));
      return retry(task, delays);
    });
  }

  /** @param {string | null} [token] @returns {Record<string, string>} that authenticate a request */
  const headersOf = (token) => !token ? {}
    : inCookies ? { "X-CSRF-TOKEN": tokens.sidOf(token) } : { Authorization: `Bearer ${token}` };
  const fieldsOf = (refresh = "") => (inCookies ? {} : { refresh });

  /** @param {any} cause @returns {never} */
  function unreachable(cause) {
    if (cause?.name === "AbortError") throw cause; // aborted by the caller
    const detail = "The server cannot be reached. Please try again.";
    throw new AuthError(0, { code: "network_error", detail, cause });
  }

  /** @param {string} path @param {{}} fields @param {Record<string, string>} [headers] @param {{}} [init] */
  async function post(path, fields, headers, init) {
    const response = await fetch(base + path, {
      method: "POST",
      credentials: headers?.Authorization ? "omit" : "include", // "include" also sends the device cookie
      headers: { "Content-Type": "application/json", ...headers },
      body: JSON.stringify(fields),
      ...init,
    }).catch(unreachable);
    if (!response.ok) throw await AuthError.from(response);
    return response.status === 204 ? null : response.json().catch(unreachable);
  }

  // Call an endpoint that starts a session, or replaces the `former` one. No refresh runs meanwhile.
  /** @param {string} path @param {{}} fields @param {Record<string, string>} [headers] @param {string} [former] */
  const startSession = (path, fields, headers, former) => withLock(async () => {
    const result = await post(path, fields, headers);
    tokens.save(result.tokens ?? result, { secret: newSecret(), former });
    announce();
    return /** @type {{ user: User, recovery_codes?: string[] }} */ (result);
  });

  /** @param {string} [stale] @returns {Promise<string>} */
  async function renew(stale) {
    const current = tokens.load();
    const known = [undefined, tokens.session(), tokens.notes().former].includes(tokens.sidOf(stale) || undefined);
    if (!current || !known) throw new AuthError(401, { code: "signed_out", detail: "Please sign in." });
    const { access, refresh } = current;
    if (stale && access && access !== stale) return access; // refreshed elsewhere
    const headers = { "Idempotency-Key": tokens.retryKey(refresh), ...(inCookies && headersOf(refresh)) };
    const result = await post("/api/token/refresh/", fieldsOf(refresh), headers,
      { signal: AbortSignal.timeout(REFRESH_TIMEOUT) }).catch((e) => e);
    const expected = [refresh, result.refresh ?? refresh]; // another tab may have stored the new one
    if (!expected.includes(tokens.load()?.refresh)) return renew(access); // signed out or refreshed
    if (inCookies ? result.csrf_token : result.access && result.refresh) return tokens.save(result);
    if (ENDS_SESSION.test(result.code)) end(result.code); // any other failure leaves the session
    throw result instanceof AuthError ? result : new AuthError(0, {});
  }

  /** @param {string} [stale] rejected access token; a newer one is returned without a refresh */
  const refresh = (stale) => // one refresh for all simultaneous calls and tabs
    (renewal ??= retry(() => withLock(() => renew(stale))).finally(() => (renewal = null)));

  /** @param {string} stale @returns {Promise<string | null>} null if the session has ended */
  const refreshOrNull = (stale) => refresh(stale).catch((e) => (tokens.session() ? Promise.reject(e) : null));

  /** @param {string} [url] of the request @returns {Promise<string | null>} */
  async function tokenFor(url = base) {
    const { origin } = new URL(url, globalThis.location?.href);
    const trusted = [new URL(base).origin, ...(inCookies ? [] : origins)];
    const current = trusted.includes(origin) ? tokens.load() : null;
    if (!current || (Date.now() < current.due && current.access)) return current && current.access;
    const renewed = refreshOrNull(current.access);
    if (Date.now() >= current.expires || !current.access) return renewed;
    renewed.catch(() => {}); // the current one is still valid; the next call retries
    return current.access;
  }

  // Fetch with the access token; after a 401, refresh and retry once.
  /** @param {string | URL | Request} input a path or a URL @param {RequestInit} [init] */
  async function authorizedFetch(input, init) {
    const request = new Request(/^\/(?!\/)/.test(String(input)) ? base + input : input, init);
    const token = request.headers.has("Authorization") ? null : await tokenFor(request.url);
    const isDefault = token && request.credentials === "same-origin"; // the default of Request
    const credentials = isDefault ? (inCookies ? "include" : "omit") : request.credentials;
    const own = Object.fromEntries(request.headers);
    const send = (/** @type {string | null} */ access) =>
      fetch(new Request(request.clone(), { credentials, headers: { ...own, ...headersOf(access) } })).catch(unreachable);
    const response = await send(token);
    const tokenHelps = !NEEDS_PASSWORD.test(response.headers.get("WWW-Authenticate") ?? "");
    const renewed = token && response.status === 401 && tokenHelps && (await refreshOrNull(token));
    return renewed ? send(renewed) : response;
  }

  return {
    /** @param {Profile} profile */
    register: async (profile) => (await startSession("/api/register/", { ...profile, ...transportField })).user,
    /** @param {Credentials} credentials */
    login: async (credentials) => (await startSession("/api/login/", { ...credentials, ...transportField })).user,
    /** Complete a login that was answered `second_factor_required`. @param {SecondStep} fields */
    secondStep: async (fields) => (await startSession("/api/login/second-step/", fields)).user,
    /** Sign in by another call, and return its response. @param {string} path @param {{}} fields */
    signIn: (path, fields) => startSession(path, fields),
    refresh, transport,
    fetch: authorizedFetch,
    /** @param {string} [url] of a request @returns its credentials, as options of axios */
    async authorize(url) {
      const token = await tokenFor(url);
      return { token, headers: headersOf(token), ...(inCookies && token && { withCredentials: true }) };
    },
    getAccessToken: inCookies ? async () => null : tokenFor,
    state,
    /** @returns {Promise<User | null>} the current user, or null if signed out */
    async getUser() {
      const response = tokens.session() ? await authorizedFetch("/api/user/") : null;
      if (response && !response.ok && tokens.session()) throw await AuthError.from(response);
      return response?.ok ? response.json().catch(unreachable) : null;
    },
    /** Go on in a new session. @param {{ current_password?: string, proof?: string, new_password: string }} fields */
    changePassword: async (fields) => void (await refresh().then((token) =>
      startSession("/api/password/change/", fields, headersOf(token), tokens.sidOf(token)))),
    /** Sign out in all tabs. Rejects if the server did not confirm that the session has ended. */
    async logout() {
      const { access, refresh } = tokens.load() ?? {};
      end("logout");
      if (!refresh) return;
      const call = () => post("/api/logout/", fieldsOf(refresh), headersOf(access), { keepalive: true });
      await retry(call).catch((error) => error.status === 401 || Promise.reject(error)); // it had ended already
    },
    /** @param {(state: State) => void} listener called after each sign-in or sign-out in any tab */
    onChange: (listener) => (listeners.add(listener), () => void listeners.delete(listener)),
  };
}

// Add two interceptors to an axios instance: one adds the token, one refreshes and retries once.
/** @param {any} instance @param {AuthClient} client */
export function attachToAxios(instance, client) {
  instance.interceptors.request.use(async (/** @type {any} */ config) => {
    const { headers, ...carried } = await client.authorize(instance.getUri(config));
    config.headers.set(headers);
    return Object.assign(config, carried);
  });
  instance.interceptors.response.use(undefined, async (/** @type {any} */ error) => {
    const { config, response } = error;
    const stale = response?.status === 401 && !NEEDS_PASSWORD.test(response.headers["www-authenticate"]);
    if (!stale || !config.token || config.retried) throw error;
    await client.refresh(config.token).catch((other) => Promise.reject(client.state().signedIn ? other : error));
    return instance({ ...config, retried: true });
  });
}

/**
 * Passkeys (WebAuthn Level 3) beside the client: sign-in, second step, registration, and signals
 * that keep the passkeys on a device in step with those of the account. See docs/frontend.md.
 *
 * @typedef {import("./auth-client.js").AuthClient} AuthClient
 * @typedef {{ id: number, name: string, created_at: string, last_used_at: string | null,
 *   synced: boolean }} Passkey
 * @typedef {{ signal?: AbortSignal, conditional?: boolean }} GetOptions `conditional` waits, without a
 *   dialog, until the user chooses a passkey from the suggestions of an input with
 *   autocomplete="username webauthn"
 * @typedef {{ ticket: string, credential: any }} Assertion the value of `passkey` in API calls
 * @typedef {{ password?: string, proof?: string }} Proof
 */
import { AuthError } from "./auth-client.js";

const RENEWAL = 240_000; // ms until a waiting request gets a new challenge; it is valid for 300 s
// By the names of DOMException. An AbortError is passed on.
const PROBLEMS = /** @type {Record<string, [code: string, detail: string]>} */ ({
  NotAllowedError: ["passkey_cancelled", "No passkey was used: the request was cancelled or took too long."],
  InvalidStateError: ["passkey_exists", "This device has a passkey for your account already."],
});
const UNAVAILABLE = ["passkey_unavailable", "This browser cannot use passkeys here."];

/** @param {any} cause @returns {never} */
function explain(cause) {
  if (cause?.name === "AbortError" || cause instanceof AuthError) throw cause;
  const [code, detail] = PROBLEMS[cause?.name] ?? UNAVAILABLE;
  throw new AuthError(0, { code, detail, cause });
}

/**
 * Add `client.passkeys`, and return the client.
 * @template {AuthClient} Client @param {Client} client
 */
export const withPasskeys = (client) => Object.assign(client, { passkeys: createPasskeys(client) });

/** @param {AuthClient} client */
function createPasskeys(client) {
  const api = /** @type {any} */ (globalThis.PublicKeyCredential);
  let rpId = ""; // of the latest options
  let running = /** @type {Promise<unknown>} */ (Promise.resolve());
  let controller = new AbortController(); // of the running request

  /** @param {string} method @param {string} path @param {object} [fields] @returns {Promise<any>} */
  async function call(method, path, fields) {
    const [headers, body] = [{ "Content-Type": "application/json" }, fields && JSON.stringify(fields)];
    const response = await client.fetch(path, { method, body, ...(body && { headers }) });
    if (!response.ok) throw await AuthError.from(response);
    return response.status === 204 ? null : response.json();
  }

  // Browsers run one request at a time. A new one aborts the one before, and waits until it has ended.
  /** @template T @param {AbortSignal | undefined} signal @param {(signal: AbortSignal) => Promise<T>} ask */
  function exclusively(signal, ask) {
    controller.abort();
    const own = (controller = new AbortController());
    const either = signal ? AbortSignal.any([own.signal, signal]) : own.signal;
    const result = running.catch(() => {}).then(() => (either.throwIfAborted(), ask(either)));
    running = result;
    return result.catch(explain);
  }

  /** @param {GetOptions} [options] @returns {Promise<Assertion>} */
  const get = ({ signal, conditional = false } = {}) => exclusively(signal, async (aborted) => {
    for (;;) {
      const { ticket, publicKey } = await call("POST", "/api/login/passkey/options/", {});
      const renewal = conditional ? AbortSignal.timeout(RENEWAL) : aborted;
      const options = { signal: AbortSignal.any([aborted, renewal]), ...(conditional && { mediation: "conditional" }) };
      rpId = publicKey.rpId;
      try {
        const request = { publicKey: api.parseRequestOptionsFromJSON(publicKey), ...options };
        const credential = /** @type {any} */ (await navigator.credentials.get(/** @type {any} */ (request)));
        return { ticket, credential: credential.toJSON() };
      } catch (error) {
        if (aborted.aborted || !renewal.aborted) throw error;
      }
    }
  });

  /** @param {string} name @param {object} fields */
  const signal = (name, fields) => api?.[`signal${name}`]?.(fields).catch(() => {}); // advice, never an error

  // Report to the browser which passkeys of the account exist, and what the account is called.
  async function signalAccount() {
    if (!api?.signalAllAcceptedCredentials) return;
    const fields = await call("GET", "/api/passkeys/signals/").catch(() => null);
    if (!fields) return;
    const { name, displayName, allAcceptedCredentialIds, ...account } = fields;
    await signal("AllAcceptedCredentials", { ...account, allAcceptedCredentialIds });
    await signal("CurrentUserDetails", { ...account, name, displayName });
  }

  // Ask for a passkey and send it. One that the server does not know is hidden from now on.
  /** @template T @param {GetOptions | undefined} options @param {(passkey: Assertion) => Promise<T>} send */
  async function use(options, send) {
    const passkey = await get(options);
    return send(passkey).catch(async (error) => {
      const unknown = error.code === "passkey_unknown";
      if (unknown) await signal("UnknownCredential", { rpId, credentialId: passkey.credential.id });
      throw error;
    });
  }

  /** @template T @param {T} result */
  const signalled = (result) => (void signalAccount(), result); // nothing waits for it

  return {
    /** Whether the browser has passkeys, on this page. */
    isSupported: () => Boolean(api?.parseRequestOptionsFromJSON),
    /** @returns {Promise<boolean>} whether `conditional` works */
    async canAutofill() {
      const { conditionalGet } = (await api?.getClientCapabilities?.()) ?? {};
      return Boolean(api?.parseRequestOptionsFromJSON && (conditionalGet ?? (await api.isConditionalMediationAvailable?.())));
    },
    get,
    signalAccount,
    /** Sign in without a password. @param {GetOptions} [options] */
    signIn: (options) => use(options, (passkey) =>
      client.signIn("/api/login/passkey/", { ...passkey, transport: client.transport })).then(({ user }) => signalled(user)),
    /** Complete a login. @param {{ ticket: string, remember_device?: boolean }} fields @param {GetOptions} [options] */
    secondStep: (fields, options) =>
      use(options, (passkey) => client.secondStep({ ...fields, passkey })).then(signalled),
    /** @param {GetOptions} [options] @returns {Promise<{ proof: string, expires_in: number }>} */
    reauthenticate: (options) => use(options, (passkey) => call("POST", "/api/reauthenticate/", { passkey })),
    /**
     * Create a passkey on this device. The first factor of an account also creates recovery codes.
     * @param {Proof & { name?: string, signal?: AbortSignal }} fields
     * @returns {Promise<Passkey & { recovery_codes?: string[] }>}
     */
    async register({ name, signal, ...proof }) {
      const { ticket, publicKey } = await call("POST", "/api/passkeys/options/", proof);
      const create = (/** @type {AbortSignal} */ aborted) => navigator.credentials.create(
        { publicKey: api.parseCreationOptionsFromJSON(publicKey), signal: aborted });
      const credential = /** @type {any} */ (await exclusively(signal, create)).toJSON();
      return signalled(await call("POST", "/api/passkeys/", { ticket, credential, ...(name && { name }) }));
    },
    /** @returns {Promise<Passkey[]>} */
    list: () => call("GET", "/api/passkeys/"),
    /** @param {number} id @param {Proof & { name: string }} fields @returns {Promise<Passkey>} */
    rename: async (id, fields) => signalled(await call("PATCH", `/api/passkeys/${id}/`, fields)),
    /** @param {number} id @param {Proof} proof @returns {Promise<null>} */
    remove: async (id, proof) => signalled(await call("DELETE", `/api/passkeys/${id}/`, proof)),
  };
}

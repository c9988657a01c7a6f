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
export type Tokens = {
    access?: string;
    refresh?: string;
    expires_in?: number;
    csrf_token?: string;
};
export type User = {
    id: number;
    email: string;
    email_verified: boolean;
    username: string;
    first_name: string;
    last_name: string;
    date_joined: string;
    external_id: string | null;
};
export type Credentials = {
    email?: string;
    username?: string;
    password: string;
};
export type SecondStep = {
    ticket: string;
    code?: string;
    recovery_code?: string;
    passkey?: object;
    remember_device?: boolean;
};
export type Profile = {
    email: string;
    password: string;
    password2?: string;
    username?: string;
    first_name?: string;
    last_name?: string;
};
export type TokenStorage = Pick<Storage, "getItem" | "setItem" | "removeItem">;
export type State = {
    signedIn: boolean;
    ended: string | null;
};
export type AuthClient = ReturnType<typeof createAuthClient>;
/** A failed request: `code` is stable, `message` is a sentence that a page can show. */
export declare class AuthError extends Error {
    status: number;
    code: string;
    errors: Record<string, string[]>;
    errorCodes: Record<string, {
        code: string;
    }[]>;
    ticket: string;
    methods: string[];
    expiresIn: number;
    retryAfter: number;
    passes: boolean;
    /** @param {number} status @param {any} problem as in RFC 9457 @param {Headers} [headers] */
    constructor(status: number, problem: any, headers?: Headers);
    /** @param {Response} response with a status of 400 or more */
    static from(response: Response): Promise<AuthError>;
}
/** @returns {TokenStorage} a storage that is lost when the page is closed */
export declare function memoryStorage(): TokenStorage;
/**
 * @param {object} [options]
 * @param {string} [options.baseURL] of the server; by default the origin of the page
 * @param {TokenStorage} [options.storage] localStorage (default), sessionStorage, memoryStorage()
 * @param {"body" | "cookie"} [options.transport] "cookie" keeps the tokens from all scripts
 * @param {string[]} [options.origins] of other services that receive the access token
 * @param {typeof globalThis.fetch} [options.fetch]
 */
export declare function createAuthClient({ baseURL, storage, // access may be blocked
transport, origins, fetch, }?: {
    baseURL?: string;
    storage?: TokenStorage;
    transport?: "body" | "cookie";
    origins?: string[];
    fetch?: typeof globalThis.fetch;
}): {
    /** @param {Profile} profile */
    register: (profile: Profile) => Promise<User>;
    /** @param {Credentials} credentials */
    login: (credentials: Credentials) => Promise<User>;
    /** Complete a login that was answered `second_factor_required`. @param {SecondStep} fields */
    secondStep: (fields: SecondStep) => Promise<User>;
    /** Sign in by another call, and return its response. @param {string} path @param {{}} fields */
    signIn: (path: string, fields: {}) => Promise<{
        user: User;
        recovery_codes?: string[];
    }>;
    refresh: (stale?: string) => Promise<string>;
    transport: "body" | "cookie";
    fetch: (input: string | URL | Request, init?: RequestInit) => Promise<Response>;
    /** @param {string} [url] of a request @returns its credentials, as options of axios */
    authorize(url?: string): Promise<{
        token: string | null;
        headers: Record<string, string>;
        withCredentials?: boolean | undefined;
    }>;
    getAccessToken: (url?: string) => Promise<string | null>;
    state: () => State;
    /** @returns {Promise<User | null>} the current user, or null if signed out */
    getUser(): Promise<User | null>;
    /** Go on in a new session. @param {{ current_password?: string, proof?: string, new_password: string }} fields */
    changePassword: (fields: {
        current_password?: string;
        proof?: string;
        new_password: string;
    }) => Promise<undefined>;
    /** Sign out in all tabs. Rejects if the server did not confirm that the session has ended. */
    logout(): Promise<void>;
    /** @param {(state: State) => void} listener called after each sign-in or sign-out in any tab */
    onChange: (listener: (state: State) => void) => () => undefined;
};
/** @param {any} instance @param {AuthClient} client */
export declare function attachToAxios(instance: any, client: AuthClient): void;

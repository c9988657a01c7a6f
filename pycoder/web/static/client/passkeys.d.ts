export type AuthClient = import("./auth-client.js").AuthClient;
export type Passkey = {
    id: number;
    name: string;
    created_at: string;
    last_used_at: string | null;
    synced: boolean;
};
export type GetOptions = {
    signal?: AbortSignal;
    conditional?: boolean;
};
export type Assertion = {
    ticket: string;
    credential: any;
};
export type Proof = {
    password?: string;
    proof?: string;
};
/**
 * Add `client.passkeys`, and return the client.
 * @template {AuthClient} Client @param {Client} client
 */
export declare const withPasskeys: <Client extends AuthClient>(client: Client) => Client & {
    passkeys: {
        /** Whether the browser has passkeys, on this page. */
        isSupported: () => boolean;
        /** @returns {Promise<boolean>} whether `conditional` works */
        canAutofill(): Promise<boolean>;
        get: ({ signal, conditional }?: GetOptions) => Promise<Assertion>;
        signalAccount: () => Promise<void>;
        /** Sign in without a password. @param {GetOptions} [options] */
        signIn: (options?: GetOptions) => Promise<import("./auth-client.js").User>;
        /** Complete a login. @param {{ ticket: string, remember_device?: boolean }} fields @param {GetOptions} [options] */
        secondStep: (fields: {
            ticket: string;
            remember_device?: boolean;
        }, options?: GetOptions) => Promise<import("./auth-client.js").User>;
        /** @param {GetOptions} [options] @returns {Promise<{ proof: string, expires_in: number }>} */
        reauthenticate: (options?: GetOptions) => Promise<{
            proof: string;
            expires_in: number;
        }>;
        /**
         * Create a passkey on this device. The first factor of an account also creates recovery codes.
         * @param {Proof & { name?: string, signal?: AbortSignal }} fields
         * @returns {Promise<Passkey & { recovery_codes?: string[] }>}
         */
        register({ name, signal, ...proof }: Proof & {
            name?: string;
            signal?: AbortSignal;
        }): Promise<Passkey & {
            recovery_codes?: string[];
        }>;
        /** @returns {Promise<Passkey[]>} */
        list: () => Promise<Passkey[]>;
        /** @param {number} id @param {Proof & { name: string }} fields @returns {Promise<Passkey>} */
        rename: (id: number, fields: Proof & {
            name: string;
        }) => Promise<Passkey>;
        /** @param {number} id @param {Proof} proof @returns {Promise<null>} */
        remove: (id: number, proof: Proof) => Promise<null>;
    };
};

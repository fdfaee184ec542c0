/** Version of the server and its tools. */
export const VERSION = '0.1.0';

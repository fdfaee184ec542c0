/**
 * Redaction: removes secrets from everything that is logged: values of fields with certain names, and keys, tokens and
 * `Authorization` values inside any text.
 * Bounds: how deep it looks, and how much of a text it keeps.
 */

const DEPTH_MAX = 8;
const TEXT_LENGTH_MAX = 4_096;
const REDACTED = '[redacted]';

/** Names of fields whose values are never logged. */
const SECRET_NAMES =
  /^(api-?)?key$|^authorization$|^cookie$|password|secret|^(access|id|refresh|bearer)?[-_]?tokens?$|^jwt$/i;

/** Keys of this server (stored-keys.ts), JSON Web Tokens, and values of the header. */
const SECRET_TEXTS: readonly RegExp[] = [
  /tk_[0-9a-f]{12}_[\w-]+/gi,
  /\beyJ[\w-]+\.[\w-]+(\.[\w-]*)?/g,
  /\b(Bearer|Basic)\s+(?!KEY\b)[^\s"',;]+/gi,
];

/** The same value with secrets taken out; errors become plain objects. */
export function redacted(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return redactedText(value);
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= DEPTH_MAX) return '[deeper]';
  if (value instanceof Error) {
    const { name, message, stack, cause, ...more } = value as Error & Record<string, unknown>;
    return redacted({ name, message, stack, cause, ...more }, depth);
  }
  if (Array.isArray(value)) return value.map((item) => redacted(item, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      redactedText(name),
      SECRET_NAMES.test(name) && inner !== null ? REDACTED : redacted(inner, depth + 1),
    ]),
  );
}

export function redactedText(text: string): string {
  let clean = text;
  for (const secret of SECRET_TEXTS) clean = clean.replaceAll(secret, REDACTED);
  // Cut after the replacement: half of a secret would not be recognised.
  return clean.length <= TEXT_LENGTH_MAX ? clean : `${clean.slice(0, TEXT_LENGTH_MAX)}…`;
}

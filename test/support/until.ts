/** The only way to wait in a test: for a condition, never for a time. */

/**
 * Much longer than a busy machine needs, and shorter than the timeout of a test, which would not name the
 * condition.
 */
const MS_MAX = 50_000;
const EVERY_MS = 5;

/**
 * Waits until a condition holds.
 * @param holds is called again every few milliseconds; its result is returned as soon as it is truthy
 * @param what names the condition in the error; by default its source text
 * @throws Error when it does not hold within 50 seconds
 */
export async function until<T>(
  holds: () => T | Promise<T>,
  what: string = holds.toString(),
): Promise<Exclude<T, false | null | undefined>> {
  const end = performance.now() + MS_MAX;
  for (;;) {
    const value = await holds();
    if (value) return value as Exclude<T, false | null | undefined>;
    if (performance.now() > end) throw new Error(`never: ${what}`);
    await Bun.sleep(EVERY_MS);
  }
}

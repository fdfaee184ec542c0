/** Waiting for what is to come: a test names the condition and never a time that should be enough. */

/** Far beyond what a busy machine takes: only what never comes ends by it. */
const MS_MAX = 60_000;
const LOOK_EVERY_MS = 5;

/**
 * Waits until something holds. @param what it is, for the error; by default the text of the condition
 * @throws Error when it does not
 */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string = holds.toString(),
): Promise<void> {
  const end = performance.now() + MS_MAX;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`never: ${what}`);
    await Bun.sleep(LOOK_EVERY_MS);
  }
}

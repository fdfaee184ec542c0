/** Answers: the JSON text of objects, put together in parts. */

/** Completes a text of `open` with the tier that gave the answer, and its age. */
export function finished(opened: string, source: string, ageMs: number): string {
  return `${opened}"source":"${source}","ageMs":${ageMs}}`;
}

/** The JSON text of an object up to its closing brace, so that more members can follow. */
export function open(object: Record<string, unknown>): string {
  return `${JSON.stringify(object).slice(0, -1)},`;
}

/** The same of a text that is complete already, with some more members. */
export function reopened(text: string, more: Record<string, unknown>): string {
  return `${text.slice(0, -1)},${open(more).slice(1)}`;
}

/**
 * Metrics text: a strict parser of the response of `/metrics`; it throws on anything that violates the Prometheus
 * format.
 */

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{((?:[a-zA-Z_]\w*="[^"\\\n]*",?)*)\})? (\S+)$/;
const KINDS = /^# TYPE (\S+) (counter|gauge|histogram|summary)$/;
/** The units that a metric of Tapedeck may have; the unit is the last word of its name. */
const UNITS =
  /_(total|seconds|bytes|rows|records|blocks|events|seq|sessions|sources|instruments|members|plays|info|state|up)$/;

/** The samples, by name and labels. @throws Error on a line that is no sample */
export function parseMetrics(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  const kinds = new Map<string, string>();
  for (const line of text.split('\n')) {
    const kind = KINDS.exec(line);
    if (kind !== null) kinds.set(kind[1]!, kind[2]!);
    if (line === '' || line.startsWith('# ')) continue;
    const [, name, labels, value] = SAMPLE.exec(line) ?? [];
    if (name === undefined || Number.isNaN(Number(value))) throw new Error(`no sample: ${line}`);
    const family = name.replace(/_(bucket|sum|count)$/, '');
    const isTyped = kinds.has(name) || kinds.get(family) === 'histogram';
    if (!isTyped) throw new Error(`a sample without a type: ${line}`);
    const key = labels === undefined || labels === '' ? name : `${name}{${labels}}`;
    if (samples.has(key)) throw new Error(`a sample twice: ${line}`);
    samples.set(key, Number(value));
  }
  for (const [name, kind] of kinds) {
    if (!name.startsWith('tapedeck_')) continue;
    if (!UNITS.test(name)) throw new Error(`a name without a unit: ${name}`);
    if ((kind === 'counter') !== name.endsWith('_total')) throw new Error(`${name} is a ${kind}`);
  }
  return samples;
}

/** The only source of randomness in tests: a seed from the environment, or a new one. */
export function readSeed(): number {
  const given = process.env['TAPEDECK_TEST_SEED'];
  return given === undefined ? (Math.random() * 0x7fff_ffff) | 0 : Number(given);
}

/** Options that several commands share. */

import { Option } from 'commander';

export function URL_OPTION(): Option {
  return new Option('--url <URL>', 'address of the server').default('http://127.0.0.1:7070');
}

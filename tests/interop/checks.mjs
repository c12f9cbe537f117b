// Runs the checks of a client, one after the other.

const PATIENCE = 10_000;

/**
 * Runs each of `checks` (title: async function), prints a line for it and the counts, and exits with 1 if one failed.
 * `after` is called behind each, whatever became of it.
 */
export async function run(client, checks, after = () => {}) {
  const all = Object.entries(checks);
  let failed = 0;
  for (const [title, check] of all) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no result after ${PATIENCE / 1000} s`)), PATIENCE);
    });
    try {
      await Promise.race([check(), late]);
      console.log(`ok     ${client}: ${title}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED ${client}: ${title}`);
      console.log(`       ${String(error.message).slice(0, 500)}`);
    } finally {
      clearTimeout(timer);
      after();
    }
  }
  console.log(`${client}: ${all.length - failed} checks passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

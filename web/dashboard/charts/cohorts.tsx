// Who comes back: a row for each cohort, a column for each period after it.
import type { Cohort } from '../answers.ts'
import { counted, day, number, share } from '../words.ts'

export function Cohorts({ cohorts, period }: { cohorts: readonly Cohort[]; period: string }) {
  const width = Math.max(...cohorts.map(({ returns }) => returns.length))
  const users = cohorts.reduce((sum, { userCount }) => sum + userCount, 0)
  const after = cohorts.flatMap(({ returns, userCount }) => (returns[1] && !returns[1].isUnfinished ? [{ back: returns[1].userCount, of: userCount }] : []))
  const of = after.reduce((sum, each) => sum + each.of, 0)
  const back = after.reduce((sum, each) => sum + each.back, 0)
  return (
    <figure>
      <figcaption>{counted(users, 'user')} began; {of ? `${share(back / of)} of those whose next ${period} is over came back in it.` : `nobody's next ${period} is over.`}</figcaption>
      <div class="wide" role="region" aria-label="Retention" tabIndex={0}>
        <table class="cohorts">
          <caption class="unseen">Share of each cohort that came back, by {period}</caption>
          <thead>
            <tr>
              <th scope="col">Began</th>
              <th scope="col" class="number">Users</th>
              {Array.from({ length: width }, (_, index) => <th scope="col" class="number">{index}</th>)}
            </tr>
          </thead>
          <tbody>
            {cohorts.map(({ start, userCount, returns }) => (
              <tr>
                <th scope="row">{day(start)}</th>
                <td class="number">{number(userCount)}</td>
                {returns.map((figure) => (
                  <td class={`number q${userCount ? Math.ceil(figure.share * 5) : 0}${userCount && figure.isUnfinished ? ' open' : ''}`} title={`${counted(figure.userCount, 'user')}${figure.isUnfinished ? ', still growing' : ''}`}>
                    {userCount ? share(figure.share) : ''}
                  </td>
                ))}
                {Array.from({ length: width - returns.length }, () => <td />)}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </figure>
  )
}

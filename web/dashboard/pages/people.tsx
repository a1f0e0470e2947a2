// Whose time line to look at.
import type { List } from '../answers.ts'
import { Answer, DEMO, Empty, useAnswer } from '../asking.tsx'
import { Card, Receipt, Table, User } from '../parts.tsx'
import { conditions } from '../filters.tsx'
import { changed, go, since } from '../route.ts'
import { segment } from '../segments.tsx'
import { number, time } from '../words.ts'

export function People() {
  const body = { kind: 'users', limit: 25, where: conditions(), ...segment(), window: since() }
  const users = useAnswer<List>('/api/analytics/lists', body)
  const find = (event: SubmitEvent): void => {
    event.preventDefault()
    const id = new FormData(event.currentTarget as HTMLFormElement).get('user')
    if (typeof id === 'string' && id.trim()) go(changed({ user: id.trim() }))
  }
  return (
    <Card title="Users" isWide side={<form class="find" onSubmit={find}><label>User id <input name="user" autocomplete="off" required /></label> <button>Show the time line</button></form>}>
      <Answer of={users}>
        {({ rows, totalCount, receipt }) => (
          <>
            {rows.length ? (
              <Table
                caption={`The latest users, of ${number(totalCount)}`}
                rows={rows}
                columns={[
                  { name: 'User', of: ({ userId }) => <User id={userId} /> },
                  { name: 'Last seen', of: (row) => time(row.time) },
                  { name: 'Page', of: ({ page }) => page },
                  { name: 'Events', of: ({ eventCount }) => number(eventCount), isNumber: true },
                ]}
              />
            ) : (
              <Empty command={DEMO}>Nobody did anything in these days. To see a mesh at work:</Empty>
            )}
            <Receipt of={receipt} question="lists" body={body} />
          </>
        )}
      </Answer>
    </Card>
  )
}

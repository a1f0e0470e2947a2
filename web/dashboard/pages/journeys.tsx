// The ways sessions take and who took them, or, with a user in the address, one user's time line.
import { Filters } from '../filters.tsx'
import { parameter } from '../route.ts'
import { Paths } from './paths.tsx'
import { People } from './people.tsx'
import { TimeLine } from './timeline.tsx'

export function Journeys() {
  const user = parameter('user')
  if (user) return <TimeLine user={user} />
  return (
    <div class="grid">
      <Filters of="events" />
      <Paths />
      <People />
    </div>
  )
}

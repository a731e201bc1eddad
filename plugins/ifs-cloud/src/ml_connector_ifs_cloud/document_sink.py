"""Writing documents: the header, then the lines one by one, then the action that moves the state.

The header carries the key by which the other side knows the document, so that one that was begun is found and completed: lines
are compared by their keys and only the missing ones are added. A state is moved last, by an action under the ETag just read.
"""

from abc import abstractmethod
from typing import Any, Final, TypeVar

from ml_connector.domain import ENTITIES, UNSET, RemoteId, Version
from ml_connector.errors import AnswerLost, RecordRejected
from ml_connector.ports.sink import Key, Written
from ml_connector_ifs_cloud import payload
from ml_connector_ifs_cloud.api import Api, EntitySet
from ml_connector_ifs_cloud.documents import DocumentReader, Standing
from ml_connector_ifs_cloud.errors import STALE
from ml_connector_ifs_cloud.line_steps import LineSteps, part_of
from ml_connector_ifs_cloud.places import Action, Documents
from ml_connector_ifs_cloud.rows import row_decoder
from ml_connector_ifs_cloud.sinking import IfsSink, Moved, Steps

R = TypeVar("R", bound=DocumentReader[Any, Any])

_CANCELLED: Final = "Cancelled"


class DocumentSink(IfsSink[R, Any]):
    """A Sink of documents of one kind."""

    def __init__(self, api: Api, reader: R, settings: Documents) -> None:
        super().__init__(api, reader)
        self.settings = settings
        self._row = row_decoder(reader.header)

    @abstractmethod
    def values(self, entity: Any) -> payload.Values:
        """The properties of the header."""

    @abstractmethod
    def status_of(self, row: Any) -> str:
        """Where the document stands, in the words that a flow writes."""

    def asked(self, entity: Any, row: Any) -> Any:
        """The entity with what the settings ask of one that is created; ``row`` is None for one that is not begun yet."""
        return entity

    async def create(self, steps: Steps, key: Key, entity: Any) -> Written:
        """Begin the document unless it is there, and complete it. An answer that is lost on the way is looked up once."""
        found = await self.api.place(self.reader.place)
        row = await self.known(key)
        entity = self.asked(entity, row)
        standing = await self.reader.standing(row) if row is not None else await self._begun(steps, found, key, entity)
        try:
            return await self._bring_about(steps, found, standing, entity, created=row is None)
        except AnswerLost:
            standing = await self._standing(self.reader.id_of(standing.row), None)
            return await self._bring_about(steps, found, standing, entity, created=row is None)

    async def update(self, steps: Steps, number: RemoteId, changes: Any, version: Version | None) -> Written:
        found = await self.api.place(self.reader.place)
        standing = await self._standing(number, version)
        if changes.number not in (UNSET, number) and self.settings.numbers == "given" and self._numbered_by_key:
            raise RecordRejected("IFS never gives a document another number", code="RENUMBERED", field="number")
        return await self._bring_about(steps, found, standing, changes, created=False)

    async def remove(self, steps: Steps, number: RemoteId, version: Version | None) -> Written:
        """Cancel the document."""
        make: Any = ENTITIES[self.reader.kind]
        self._action(_CANCELLED)
        return await self.update(steps, number, make(status=_CANCELLED), version)

    @property
    def _numbered_by_key(self) -> bool:
        return self.field_of("number") == self.reader.place.key.name

    async def _begun(self, steps: Steps, found: EntitySet, key: Key, entity: Any) -> Standing[Any]:
        """The new header, without lines yet. What IFS would refuse halfway through is refused before."""
        given = self.settings.numbers == "given"
        if key.field == "number" and self._numbered_by_key and not given:
            raise RecordRejected(
                f'IFS numbers these itself (numbers = "assigned"), so a new one cannot be known by number {key.value}',
                code="NO_KEY",
                field="number",
                fix='Tell the number as external_reference, and match = ["external_reference"]',
            )
        if self.settings.status_write.mode == "action" and isinstance(entity.status, str) and entity.status != "Planned":
            self._action(entity.status)
        for line in (entity.lines or ()) if self.settings.lines is not None else ():
            part_of(line, self.rules)
        body = {**self.settings.create_defaults, **self.values(entity)}
        body.setdefault(self.field_of(key.field) or "", key.value)
        if given and self._numbered_by_key and entity.number:
            body[self.reader.place.key.name] = entity.number
        answer = await steps.post(found.path, {name: value for name, value in body.items() if value is not None})
        row = answer.decode(self._row) if answer.body else await self.known(key)
        if row is None:
            raise AnswerLost("IFS did not say which number the new document has")
        return Standing(row, [], None)

    async def _standing(self, number: RemoteId, version: Version | None) -> Standing[Any]:
        """The document as it stands. Raises Moved where it is gone or not of this version."""
        rows = await self.rows(self.reader.place.key.name, number)
        if not rows:
            raise Moved(None)
        standing = await self.reader.standing(rows[0])
        if version not in (None, standing.version):
            raise Moved(standing.version)
        return standing

    async def _bring_about(
        self, steps: Steps, found: EntitySet, standing: Standing[Any], entity: Any, *, created: bool
    ) -> Written:
        """Header, lines and state as the entity says them, step by step."""
        number = self.reader.id_of(standing.row)
        path = self.api.entity_path(found, self.reader.place.key, number)
        status, writes = entity.status, self.settings.status_write
        wanted = self.values(entity)
        if writes.mode == "patch_field" and writes.patch_field is not None and status is not UNSET:
            wanted[writes.patch_field] = status or None
        if changed := payload.differing(wanted, standing.row):
            await steps.patch(path, standing.row.etag, changed)
        if self.settings.lines is not None and entity.lines is not UNSET:
            lines = LineSteps(steps, self.reader, self.settings.lines, found, number)
            await lines.bring_about(standing.lines, entity.lines or ())
        if writes.mode == "action" and isinstance(status, str) and self.status_of(standing.row) != status:
            await self._move(steps, path, standing.row, status)
        if not steps.done:
            return Written(id=number, version=standing.version, created=created)
        records = await self.reader.fetch([number])
        return Written(id=number, version=records[0].version if records else None, created=created)

    async def _move(self, steps: Steps, path: str, row: Any, status: str) -> None:
        """Call the action that leads to the status. Raises RecordRejected with IFS's words where it does not from here."""
        action = self._action(status)
        if steps.done:
            [row] = await self.rows(self.reader.place.key.name, self.reader.id_of(row))
        try:
            await steps.act(action, on=path, etag=row.etag)
        except RecordRejected as error:
            if error.code != STALE:
                error.field, error.fix = "status", error.fix or f"In IFS it stands at {self.status_of(row)}"
            raise

    def _action(self, status: str) -> Action:
        actions: dict[Any, Action] = self.settings.status_write.actions
        if self.settings.status_write.mode != "action" or status not in actions:
            raise RecordRejected(
                f"no action leads to {status}",
                code="NO_ACTION",
                field="status",
                fix=f"Name the action in entities.{self.reader.kind}.status_write.actions, or map the status otherwise",
            )
        return actions[status]

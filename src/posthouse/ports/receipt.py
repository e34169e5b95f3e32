"""What receipt rules act on, as one bundle: what assembly opens and hands to operations and to the receiving engine."""

from dataclasses import dataclass

from posthouse.ports.data_keys import DataKeys
from posthouse.ports.functions import Functions
from posthouse.ports.objects import Objects


@dataclass(frozen=True, slots=True)
class ReceiptPorts:
    objects: Objects
    functions: Functions
    data_keys: DataKeys

    async def close(self) -> None:
        for port in (self.objects, self.functions, self.data_keys):
            await port.close()

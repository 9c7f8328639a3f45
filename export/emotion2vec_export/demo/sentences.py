"""What is said, and by whom. Training and held-out sets share no sentence and no voice.

The sentences say nothing emotional, so that only the manner can tell.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Material:
    """Sentences by espeak-ng language, short phrases in English, and voice variants.

    Not every spelling of a language takes variants: `en-gb` and `fr-fr` keep their default voice.
    """

    sentences: dict[str, tuple[str, ...]]
    phrases: tuple[str, ...]
    women: tuple[str, ...]
    men: tuple[str, ...]


TRAINING = Material(
    sentences={
        "en-us": (
            "The train leaves from the second platform at nine.",
            "There are four chairs and a table in the room.",
            "She put the letters on the desk before lunch.",
            "We will meet at the corner of the street.",
            "The report has twelve pages and two tables.",
            "He is going to bring the car around tomorrow.",
            "My brother works in the building across the river.",
            "They moved the meeting to Thursday afternoon.",
            "The window in the kitchen faces the garden.",
            "You can leave the boxes beside the door.",
            "It takes twenty minutes to walk to the station.",
            "The new phone is on the shelf next to the lamp.",
            "I have to call the office about the delivery.",
            "There was a message for you this morning.",
            "The bus stops in front of the library.",
            "Someone is coming to read the meter today.",
            "The children are in the other room.",
            "He said that the keys are under the mat.",
        ),
        "en": (
            "The shop opens at eight and closes at six.",
            "Please write your name at the top of the form.",
            "The blue bag belongs to the man over there.",
            "We have about an hour until the film begins.",
            "The water in the lake is low this year.",
            "You told me that the parcel was already here.",
            "The doctor will see you in a moment.",
            "That is the third time he has called today.",
            "I think the road goes through the village.",
            "The cat is sitting on top of the car.",
        ),
        "de": (
            "Der Zug fährt um neun Uhr vom zweiten Gleis.",
            "Die Schlüssel liegen unter der Zeitung.",
            "Wir treffen uns morgen vor dem Rathaus.",
            "Im Zimmer stehen vier Stühle und ein Tisch.",
        ),
        "es": (
            "El tren sale a las nueve de la mañana.",
            "Las llaves están debajo del periódico.",
            "Mañana nos vemos delante de la biblioteca.",
            "Hay cuatro sillas y una mesa en la sala.",
        ),
        "fr": (
            "Le train part à neuf heures du deuxième quai.",
            "Les clés sont sous le journal.",
            "On se retrouve demain devant la mairie.",
            "Il y a quatre chaises et une table dans la pièce.",
        ),
        "it": (
            "Il treno parte alle nove dal secondo binario.",
            "Le chiavi sono sotto il giornale.",
            "Ci vediamo domani davanti alla biblioteca.",
        ),
    },
    phrases=(
        "Over there.", "I see.", "On the table.", "It is you.", "Not today.", "Come in.",
        "At the door.", "What is that.", "Tomorrow morning.", "All of them.", "Number seven.",
        "He is here.", "That one.", "Again.", "Right now.",
    ),
    women=(
        "Andrea", "Annie", "anika", "aunty", "belinda", "f1", "f2", "f3", "f5", "grandma",
        "linda", "steph",
    ),
    men=(
        "Alex", "Andy", "Denis", "Diogo", "Hugo", "Lee", "Marco", "Michael", "Nguyen", "antonio",
        "benjamin", "boris", "caleb", "david", "edward", "grandpa", "iven", "john", "m1", "m2",
        "m3", "m4", "m5", "m7", "marcelo", "max", "michel", "miguel", "norbert", "pablo", "paul",
        "pedro", "robert", "sandro", "travis",
    ),
)  # fmt: skip

HELD_OUT = Material(
    sentences={
        "en-us": (
            "The plates are in the cupboard above the sink.",
            "A man with a brown coat asked for you.",
            "The second floor has three empty offices.",
            "We can take the early flight on Monday.",
            "Your sister left her umbrella at our house.",
            "The bridge will be closed until next week.",
        ),
        "en": (
            "The postman comes at half past ten.",
            "I put the tickets inside the green folder.",
            "There is a small park behind the school.",
        ),
        "pt": ("O comboio parte às nove horas.", "As chaves estão em cima da mesa."),
        "nl": ("De sleutels liggen onder de krant.", "Wij gaan morgen met de trein naar huis."),
    },
    phrases=("In the kitchen.", "This is it.", "Every day.", "You again.", "Two of us."),
    women=("f4", "Alicia", "shelby"),
    men=("m6", "m8", "Gene2", "Henrique", "Mike", "victor"),
)

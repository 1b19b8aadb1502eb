#!/usr/bin/env python3
"""A grammar of short stories with long-range structure: the text the embedded default model learns.

usage: story_grammar.py [--seed N] [--bytes N]        prints stories, each followed by an empty line

Everything a story says later follows from what it said before: invented names, who owns what,
counts and their sums, what was lost and where it was found, refrains, cumulative chains. Same seed,
same bytes; ASCII only.
"""
import argparse
import random

ONSETS = "b d f g k l m n p r s t v z br dr fl gr kl pl sh st th tr".split()
VOWELS = "a e i o u ai ee oo".split()
CODAS = ["", "", "", "l", "m", "n", "r", "s"]
ANIMALS = "fox hen bear mouse frog goat cat dog duck crow hare mole".split()
PLACES = ["green valley", "old mill", "dark forest", "stone tower", "little village", "windy hill",
          "quiet harbour", "red barn", "deep cave", "sunny meadow"]
SPOTS = ["under the bridge", "behind the well", "inside the hollow tree", "beside the river",
         "on top of the wall", "in the tall grass", "near the gate", "between two stones"]
COLOURS = "red blue green yellow white black silver golden".split()
THINGS = "hat drum kite lamp ring boat bell book cup scarf key basket".split()
FOODS = [("apple", "apples"), ("pear", "pears"), ("plum", "plums"), ("nut", "nuts"),
         ("berry", "berries"), ("egg", "eggs"), ("cake", "cakes"), ("carrot", "carrots")]
NUMBERS = ("no one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
           "fifteen sixteen seventeen eighteen nineteen twenty").split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
# trait: (what it makes the hero do in danger, the moral)
TRAITS = {
    "brave": ("stood still and did not run away", "A brave heart opens every door."),
    "shy": ("hid behind a bush and said nothing", "Even a small voice can be heard."),
    "clever": ("thought for a while and made a plan", "A good plan is better than strong arms."),
    "lazy": ("yawned and went back to sleep", "Work that waits grows twice as big."),
    "kind": ("asked if anyone needed help", "Kindness always finds its way home."),
    "greedy": ("grabbed everything and would not share", "Who wants it all will lose it all."),
    "proud": ("shouted that nobody was better", "Pride climbs high and falls far."),
    "patient": ("sat down and waited until it was over", "Those who wait will see the sun."),
}
# trouble: (what the hero needs, what follows, how the hero feels then)
CAUSES = {
    "it began to rain": ("an umbrella", "stayed dry", "glad"),
    "it began to snow": ("a warm coat", "was not cold", "cosy"),
    "the sun went down": ("a candle", "could see the path", "safe"),
    "the wind blew hard": ("a long rope", "tied the door shut", "calm"),
    "the river rose": ("a wooden raft", "floated across", "excited"),
    "the bread was gone": ("a bag of flour", "baked a new loaf", "full"),
    "the wheel broke": ("a hammer", "mended the cart", "pleased"),
}
RHYMES = [("day", "play"), ("night", "light"), ("tree", "sea"), ("sky", "fly"), ("stone", "bone"),
          ("rain", "lane"), ("moon", "spoon"), ("bell", "well"), ("king", "sing"),
          ("ground", "sound")]
CHAIN = [("dog", "chased"), ("cat", "scratched"), ("rat", "bit"), ("goat", "pushed"),
         ("cow", "kicked"), ("pig", "bumped"), ("goose", "pecked"), ("horse", "nudged"),
         ("lamb", "licked")]
SAID = ["said", "answered", "whispered", "called"]


def a(phrase):
    """The phrase with its indefinite article."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def capital(text):
    """The text with its first letter in upper case."""
    return text[0].upper() + text[1:]


def count(number, food):
    """A number in words with the noun in agreement: `one plum`, `six plums`."""
    return f"{NUMBERS[number]} {food[number != 1]}"


class Character:
    """A named animal; the last letter of the name tells the pronoun."""

    def __init__(self, rng, taken):
        while True:
            self.female = rng.random() < 0.5
            stem = (rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS)
                    + rng.choice(ONSETS[:14]))
            self.name = capital(stem + ("a" if self.female else "o"))
            if self.name not in taken:
                break
        taken.add(self.name)
        self.animal = rng.choice(ANIMALS)
        self.trait = rng.choice(sorted(TRAITS))
        self.colour, self.thing = rng.choice(COLOURS), rng.choice(THINGS)
        self.home = rng.choice(PLACES)
        self.he = "she" if self.female else "he"
        self.his = "her" if self.female else "his"
        self.him = "her" if self.female else "him"


class Story:
    """One story: a cast, the episodes drawn for it, and the facts its closing questions ask for."""

    def __init__(self, rng):
        self.rng = rng
        taken = set()
        self.cast = [Character(rng, taken) for _ in range(3)]
        self.facts = []

    def text(self):
        """The whole story as one string without a final newline."""
        rng, hero = self.rng, self.cast[0]
        episodes = [self.counting, self.lost, self.chain, self.song, self.gifts, self.secret,
                    self.cause, self.week]
        parts = [self.opening()]
        parts += [episode() for episode in rng.sample(episodes, rng.choice([2, 2, 3]))]
        if rng.random() < 0.7:
            parts.append(self.questions())
        parts.append(f"That night {hero.name} the {hero.animal} slept well in the {hero.home}. "
                     f"{TRAITS[hero.trait][1]}")
        return "\n".join(parts)

    def opening(self):
        hero, friend, _ = self.cast
        start = self.rng.choice(["Once upon a time", "Long ago", "One summer"])
        self.facts += [
            (f"Where did {hero.name} live?", f"In the {hero.home}."),
            (f"What animal was {friend.name}?", f"{capital(a(friend.animal))}."),
            (f"What colour was the {hero.thing} of {hero.name}?", f"{capital(hero.colour)}.")]
        return (f"{start} there lived {a(hero.trait)} {hero.animal} named {hero.name} in the "
                f"{hero.home}. {capital(hero.he)} had {a(hero.colour)} {hero.thing}. "
                f"{capital(hero.his)} best friend was {friend.name}, {a(friend.trait)} "
                f"{friend.animal} with {a(friend.colour)} {friend.thing}.")

    def counting(self):
        rng, hero, food = self.rng, self.rng.choice(self.cast[:2]), self.rng.choice(FOODS)
        have, more = rng.randint(2, 9), rng.randint(1, 9)
        total = have + more
        lines = [f"In the morning {hero.name} had {count(have, food)}. Then {hero.he} found "
                 f"{count(more, food)} more. {capital(NUMBERS[have])} and {NUMBERS[more]} make "
                 f"{NUMBERS[total]}, so {hero.he} had {count(total, food)}."]
        if rng.random() < 0.6:
            less = rng.randint(1, total - 1)
            total -= less
            verb = "was" if total == 1 else "were"
            lines.append(f"{capital(hero.he)} ate {NUMBERS[less]} of them, and "
                         f"{count(total, food)} {verb} left. {have} + {more} - {less} = {total}.")
        self.facts.append((f"How many {food[1]} did {hero.name} have in the end?",
                           f"{capital(NUMBERS[total])}."))
        return " ".join(lines)

    def lost(self):
        rng, (hero, friend, other) = self.rng, self.cast
        spot, thing = rng.choice(SPOTS), f"{hero.colour} {hero.thing}"
        lines = [f"One day {hero.name} could not find the {thing}."]
        for asked in rng.sample([friend, other], 2):
            lines.append(f'"Have you seen my {thing}?" {hero.he} asked {asked.name}. '
                         f'"No, I have not seen your {thing}," {rng.choice(SAID)} {asked.name}, '
                         f'"I only have my {asked.colour} {asked.thing}."')
        lines.append(f"{capital(hero.he)} {TRAITS[hero.trait][0]}. At last {hero.he} looked "
                     f"{spot}, and there was the {thing}. {hero.name} put the {hero.thing} back "
                     "where it belonged.")
        self.facts.append((f"Where was the {hero.thing}?", f"{capital(spot)}."))
        return " ".join(lines)

    def chain(self):
        rng = self.rng
        links = rng.sample(CHAIN, rng.choice([3, 3, 4]))
        first = rng.choice(["fly", "bee", "worm"])
        told, lines = f"the {first}", [f"In the yard there was a little {first}."]
        for animal, verb in links:
            told = f"the {animal} that {verb} {told}"
            lines.append(f"Here is {told}.")
        self.facts.append((f"Who {links[0][1]} the {first}?", f"The {links[0][0]}."))
        return " ".join(lines)

    def song(self):
        rng, hero = self.rng, self.rng.choice(self.cast[:2])
        first, second = rng.sample(RHYMES, 2)
        hum = rng.choice(ONSETS) + rng.choice(VOWELS)
        refrain = f"{capital(hum)} {hum} {hum}, {first[0]} and {second[0]}"
        verse = f"{refrain},\n{hum} {hum} {hum}, {first[1]} and {second[1]}!"
        return (f"{hero.name} made a song.\n{verse}\n"
                f"Everybody in the {self.cast[0].home} sang it:\n{verse}")

    def gifts(self):
        rng, cast = self.rng, self.rng.sample(self.cast, 3)
        giver, taker, third = cast
        what = f"{giver.colour} {giver.thing}"
        lines = [f"{giver.name} gave the {what} to {taker.name}. Now {taker.name} had the {what} "
                 f"and the {taker.colour} {taker.thing}, and {giver.name} had nothing."]
        holder = taker
        if rng.random() < 0.5:
            lines.append(f"Later {taker.name} gave the {what} to {third.name}, so {taker.name} had "
                         f"only the {taker.colour} {taker.thing}.")
            holder = third
        thanked = taker if holder is third else giver
        lines.append(f'"Thank you, {thanked.name}!" {rng.choice(SAID)} {holder.name}.')
        self.facts.append((f"Who had the {what} then?", f"{holder.name}."))
        return " ".join(lines)

    def secret(self):
        rng, (hero, friend, other) = self.rng, self.cast
        word = "".join(rng.choice(ONSETS) + rng.choice(VOWELS) for _ in range(3))
        return (f'{friend.name} knew a secret word. "The word is {word}," {friend.he} whispered to '
                f'{hero.name}. When {hero.name} met {other.name} the {other.animal}, {hero.he} '
                f'said "{word}" aloud, and {other.name} opened the door. "{capital(word)}!" they '
                "all shouted together.")

    def cause(self):
        rng, hero = self.rng, self.rng.choice(self.cast[:2])
        trouble = rng.choice(sorted(CAUSES))
        need, then, feels = CAUSES[trouble]
        spot = rng.choice(SPOTS)
        return (f"Suddenly {trouble}. {hero.name} needed {need}. Because {hero.he} was "
                f"{hero.trait}, {hero.he} {TRAITS[hero.trait][0]}. {capital(spot)} {hero.he} found "
                f"{need}, and because {hero.he} had {need}, {hero.he} {then}. Now {hero.name} felt "
                f"{feels}.")

    def week(self):
        rng, hero = self.rng, self.cast[0]
        day, foods = rng.randrange(7), rng.sample(FOODS, 3)
        eaten, lines = [], []
        for step, food in enumerate(foods):
            number = rng.randint(1, 6)
            eaten.append(count(number, food))
            lines.append(f"On {DAYS[(day + step) % 7]} {hero.he} ate {eaten[-1]}.")
        self.facts.append((f"What did {hero.name} eat on {DAYS[day]}?", f"{capital(eaten[0])}."))
        lines.append(f"So in three days {hero.name} the {hero.animal} ate {eaten[0]}, {eaten[1]} "
                     f"and {eaten[2]}.")
        return " ".join(lines)

    def questions(self):
        chosen = self.rng.sample(self.facts, min(len(self.facts), self.rng.choice([2, 3])))
        return " ".join(f'"{question}" "{answer}"' for question, answer in chosen)


def stories(seed):
    """An endless stream of stories, the same for the same seed."""
    rng = random.Random(seed)
    while True:
        yield Story(rng).text()


def corpus(seed, size_bytes, forbidden=frozenset()):
    """Stories, none of them in `forbidden`, until they fill `size_bytes` with their empty lines."""
    out, size = [], 0
    for story in stories(seed):
        if story not in forbidden:
            out.append(story)
            size += len(story) + 2
            if size >= size_bytes:
                return out
    raise AssertionError("stories() is endless")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bytes", type=int, default=4000)
    options = parser.parse_args()
    print("\n\n".join(corpus(options.seed, options.bytes)))


if __name__ == "__main__":
    main()

// The text that reports are measured on by default, written for this project.
#include "core/evaluation/default_text.h"

namespace gwq {

std::string_view DefaultEvaluationText() {
  static constexpr char kText[] =
      R"text(The lighthouse at the end of the peninsula had been automatic for thirty years, but somebody still had to climb the stairs twice a month and look at the lamp. In winter that person was Marta Ellingsen. She drove out from the village in a grey van, left it where the road turned to gravel, and walked the last kilometre with a rucksack full of tools, because the wind had once taken the van's door clean off its hinges and she did not intend to let that happen again.

There were two hundred and four steps. Marta counted them, not because she doubted the number but because counting kept her from hurrying. At the top she checked the seals on the windows, wiped the salt from the outer glass, measured the voltage of the batteries and wrote everything in a notebook that nobody but her ever read. The notebook was older than the automatic lamp. Its first pages were in the handwriting of the last keeper, a man called Olav Brekke, who had noted the weather every morning and every evening for nineteen years and had missed only three days. On the line for each of those days he had written a single word: daughter, daughter, funeral.

Marta liked to read those pages while she ate her sandwich. You could learn a great deal from them. You could learn, for example, that the storms of the nineteen fifties came mostly from the south-west, that the herring returned in 1961 after an absence of seven years, and that a Dutch freighter had once sailed past so close that the keeper could read the name of the cook on his apron. You could also learn that a person can live alone on a rock for nineteen years and still take an interest in the colour of the sea.

* * *

A bridge is a conversation between a load and the ground. The load wants to fall; the ground is willing to carry it, but only at certain places; and everything between the two is a matter of persuading forces to take the longer way round. In a beam bridge the persuasion is done by bending. The upper side of the beam is squeezed, the lower side is stretched, and somewhere near the middle there is a thin layer of material that does nothing at all. In an arch there is hardly any bending: each stone leans on its neighbour, and the whole row of stones leans on the two banks of the river, which must be strong enough to push back. In a suspension bridge the roadway hangs from cables, and the cables pull on the towers and on heavy anchors at both ends.

None of these ideas is new. Arches were built more than three thousand years ago, and ropes of twisted grass crossed the gorges of the Andes long before anybody wrote an equation for the shape in which a rope hangs. What changed in the nineteenth century was that engineers began to calculate before they built. They measured how much a bar of iron stretches under a given weight, they found that the stretch grows in proportion to the weight up to a certain point, and they learned the hard way what happens beyond it. Several of the early iron bridges fell down. Each collapse was investigated, and the reports of those investigations make better reading than most novels of the period: a casting with a hidden bubble, a diagonal brace left out to save money, a gust of wind that nobody had thought to include in the sum.

Today a computer adds up the forces in every part of a bridge in less than a second, and repeats the calculation for every position of every lorry. But the computer only answers the questions it is asked. The engineer still has to imagine what might go wrong, and the best of them walk along the finished bridge on a windy day and listen to it.

* * *

To make a plain loaf for four people you need five hundred grams of flour, three hundred and twenty grams of water, ten grams of salt and about seven grams of dried yeast. Warm the water until it is as warm as your hand. Stir in the yeast, wait five minutes, then add the flour and the salt and mix until no dry patches are left. The dough will be sticky. Resist the temptation to add more flour: a wet dough makes a light loaf. Knead it for ten minutes, or, if you are in no hurry, fold it over itself every half an hour for two hours and let time do the work.

When the dough has doubled in size, tip it on to the table, press out the largest bubbles, and shape it into a ball by pulling the edges towards the middle. Put the ball into a floured basket, cover it with a cloth, and heat the oven to two hundred and thirty degrees with an iron pot inside. After forty-five minutes turn the dough into the hot pot, cut a cross in the top with a sharp knife, put the lid on, and bake it for thirty minutes. Take the lid off and bake it for fifteen minutes more. The loaf is done when it sounds hollow if you knock on its base. Let it cool before you cut it; this is the hardest part of the recipe.

* * *

"You said Thursday," said the man at the counter.

"I said Thursday if the part came," the watchmaker answered. "The part did not come. It is somewhere between here and Geneva, and it is four millimetres long, so I do not blame the postal service for being unable to see it."

The man did not smile. He had a train to catch, and the watch had belonged to his father. He explained this at some length. The watchmaker listened, because he had found that people who bring in a watch seldom want to talk about the watch.

"How long did he wear it?" he asked, when the man had finished.

"Every day. Forty years, perhaps."

"And did he wind it in the morning or in the evening?"

The man thought about it. He looked at the window, where the rain was drawing lines down the glass, and for the first time since he had come in he seemed to forget about the train. "In the evening," he said. "After the news. He would stand in the hall and wind it, and then he would switch off the light. I had forgotten that."

"I thought so. The spring is worn on one side. A man who winds in the evening winds slowly, because he is tired, and always stops at the same place." The watchmaker closed the case with a small click. "Come back on Monday. If the part has not arrived by then, I will make one."

* * *

Why is the sky dark at night? The question sounds childish, and for centuries nobody gave it a good answer. If space has no end, and if stars are spread through it more or less evenly, then in whatever direction you look your line of sight must sooner or later meet the surface of a star. A distant star is fainter than a near one, but there are more of the distant ones, and the two effects cancel exactly. The whole sky ought to shine as brightly as the sun.

It does not, and the reason is that the universe has not existed for ever. Light travels fast, but not infinitely fast, and from the most distant regions it has simply not had the time to reach us. We see only those stars whose light has been on its way for less than the age of the universe, and there are far too few of them to fill the sky. There is a second reason: because space expands, the light of very remote objects is stretched on its journey until our eyes can no longer see it. The glow that we would expect is in fact there, in every direction, but it has cooled to a faint whisper of radio waves, less than three degrees above absolute zero. It was discovered in 1964 by two engineers who were trying to get rid of a hiss in their antenna, and who had first suspected the pigeons.

* * *

The municipal library of the town keeps its minutes in order, and from the minutes one can follow how the opening hours became a matter of politics. In March the committee proposed to close on Mondays in order to save the cost of heating. In April forty-one readers signed a letter of protest. In May it was found that on Mondays the reading room was used mainly by people who had nowhere else to sit, and that the cost of heating was smaller than the cost of the committee's own dinners. The proposal was withdrawn. The dinners continued, but the chairman brought his own sandwiches, and this was entered in the minutes too.

A good index is a kind of map. It tells you not only where a thing is but what the author believed to be near it. In the index of an old book about gardening you may find "Frost, late, see Hope"; in a manual for ships' officers, "Collision, duty in case of" directly above "Collision, how to avoid", which is the wrong way round but very human. Nobody thanks the person who made the index, and nobody notices a good one, in the same way that nobody notices a door that opens easily.

* * *

When the survey team reached the glacier in the second week of July, the stakes that they had drilled into the ice the year before were lying flat on the surface. The ice around them had melted to a depth of almost four metres. They photographed each stake, measured the distance to the next one, and drilled new holes two metres to the north. It took them three days. On the evening of the third day the youngest of them, a student from Innsbruck, asked how long the glacier would last if every summer were like this one.

The leader of the team did not answer at once. She poured tea from a dented flask, passed the cup along, and drew a curve in the snow with the end of a ski pole. "If every summer were like this one," she said, "about sixty years. But the thinner it gets, the lower its surface lies, and the lower it lies, the warmer the air that touches it. So it is not a straight line. It bends." She drew it again, this time bending downwards. "Perhaps forty. The tongue goes first. The upper basin will stay white for a while, and people will say that it does not look so bad."

They sat and looked at the curve until the light went. In the night it snowed, and in the morning it was gone; but they had written the numbers down.

* * *

Anyone who has kept bees will tell you that they are not industrious in the way that the proverb means. A bee that has nothing to do does nothing. It sits on the comb with its legs tucked under it, and it may sit there for hours. What looks like diligence is only the effect of numbers: in a colony of forty thousand there is always somebody who has just noticed that the larvae are hungry, or that it is too hot, or that a piece of the wall is missing. Each of them follows a few simple rules, none of them knows the plan, and there is no plan. Yet the temperature in the middle of the nest stays within one degree of thirty-five from the first warm days of spring until the autumn.

My grandfather kept eleven hives behind the orchard, and when I was small he let me help him with the smoke. He taught me to move slowly, to breathe through my nose, and never to stand in front of the entrance, where the traffic is. He also taught me to listen. A contented hive hums on one note. A hive that has lost its queen makes a sound that is hard to describe, higher and less certain, as if everybody in a large room had begun to ask the same question at the same time. He could hear it from the kitchen door. He would put down his cup, reach for his hat, and say to nobody in particular that he would be back in a quarter of an hour.
)text";
  return std::string_view(kText, sizeof(kText) - 1);
}

}  // namespace gwq
